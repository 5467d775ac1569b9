// Starts GraphiQL on this server's endpoint, with the tabs of examples.graphql.
"use strict";

const endpoint = new URL("graphql", window.location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";

// A tab begins with a line "### Tab"; a line "#variables {...}" after it fills the variables editor.
function parseExamples(text) {
  const tabs = text.split(/^### Tab\n/m).slice(1);
  return tabs.map((tab) => {
    const [, variables, query] = tab.match(/^(?:#variables (.*)\n)?([^]*)$/);
    return { query: query.trim() + "\n", variables: variables && JSON.stringify(JSON.parse(variables), null, 2) };
  });
}

async function examples() {
  const response = await fetch("graphiql/static/examples.graphql");
  return response.ok ? parseExamples(await response.text()) : [];
}

// The access token of this page: from the address (#token=...) or from the last answer that carried one. It lives in
// memory only, and is sent where the header editor has no Authorization of its own.
let token = new URLSearchParams(window.location.hash.slice(1)).get("token");

function withToken(headers) {
  const given = Object.keys(headers ?? {}).some((name) => name.toLowerCase() === "authorization" && headers[name]);
  return given || !token ? headers : { ...headers, Authorization: `Bearer ${token}` };
}

function findToken(data) {
  return Object.values(data ?? {})
    .map((payload) => payload?.tokens?.accessToken)
    .find(Boolean);
}

function createFetcher(onToken) {
  // GraphiQL's fetcher hands the headers to fetch, and to the socket as its connection_init payload.
  const inner = GraphiQL.createFetcher({
    url: endpoint.href,
    subscriptionUrl: socketEndpoint.href,
    enableIncrementalDelivery: false, // with it even a plain answer comes as a stream
  });
  return async (operation, options) => {
    // What the API is does not depend on who asks, and a token that has expired must not hide it.
    const isIntrospection = operation.operationName === "IntrospectionQuery";
    const headers = isIntrospection ? options?.headers : withToken(options?.headers);
    const answer = await inner(operation, { ...options, headers });
    const found = findToken(answer?.data);
    if (found) {
      token = found;
      onToken();
    }
    return answer;
  };
}

function start(tabs) {
  const root = ReactDOM.createRoot(document.getElementById("graphiql"));
  const fetcher = createFetcher(render);
  const props = {
    fetcher,
    defaultTabs: tabs.length ? tabs : undefined,
    defaultHeaders: '{\n  "Authorization": ""\n}',
    defaultEditorToolsVisibility: "variables",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false, // a token is not left behind in the browser's storage
  };

  function render() {
    const title = token ? "Photogram · signed in" : "Photogram";
    const logo = React.createElement(GraphiQL.Logo, null, React.createElement("span", { className: "photogram-logo" }, title));
    root.render(React.createElement(GraphiQL, props, logo));
  }

  render();
}

examples()
  .catch(() => [])
  .then(start);
