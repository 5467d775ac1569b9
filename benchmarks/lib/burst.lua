-- wrk -s burst.lua URL -- REQUESTS ANSWERS: sends each request of a file once, and writes down what was answered.
-- REQUESTS has a line for each: id, token and body, with tabs. ANSWERS gets: id, status, code of the error or OK, id of
-- what was made. The id comes back as X-Request-Id; who is not in ANSWERS had no answer.

local requests, answers, sent = {}, nil, -1 -- wrk makes one request more than it sends, to verify it

function init(args)
  for line in io.lines(args[1]) do
    local id, token, body = line:match("^([^\t]+)\t([^\t]+)\t(.+)$")
    local headers = {
      ["Content-Type"] = "application/json",
      ["Accept"] = "application/graphql-response+json",
      ["Authorization"] = "Bearer " .. token,
      ["X-Request-Id"] = id,
    }
    requests[#requests + 1] = wrk.format("POST", "/graphql", headers, body)
  end
  answers = io.open(args[2], "w")
  answers:setvbuf("line")
end

function delay()
  return sent < #requests and 0 or 600000 -- nothing is left for this connection
end

function request()
  sent = sent + 1
  return requests[sent] or wrk.format("GET", "/livez")
end

function response(status, headers, body)
  local id = headers["x-request-id"]
  if not id or id:sub(1, 6) ~= "burst-" then return end
  local code = body:match('"code":"([A-Z_]+)"') or "OK"
  local made = body:match('"made":{"id":"([^"]+)"') or "-"
  answers:write(id, "\t", status, "\t", code, "\t", made, "\n")
end
