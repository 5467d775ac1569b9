// Starts GraphiQL on this server's endpoint, with one tab for each operation of examples.graphql.
"use strict";

const endpoint = new URL("graphql", window.location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";

const welcome = `# Photogram's API. Run an operation with the play button or Ctrl-Enter.
# This page signs in with the token of the last login, register or refreshSession that was run here;
# to be somebody else, write under "Headers": { "Authorization": "Bearer <accessToken>" }
`;

// Each example is a block that begins with "### Title"; a "#variables {...}" line in it fills the variables editor.
function parseExamples(text) {
  const blocks = text.split(/^### +/m).slice(1);
  return blocks.map((block) => {
    const [title, ...lines] = block.trimEnd().split("\n");
    const variables = lines.filter((line) => line.startsWith("#variables ")).map((line) => line.slice(11));
    const query = lines.filter((line) => !line.startsWith("#variables ")).join("\n");
    return {
      query: `# ${title}\n${query.trim()}\n`,
      variables: variables.length ? JSON.stringify(JSON.parse(variables[0]), null, 2) : undefined,
    };
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

// An empty $id stands for the first post of the viewer's feed, so that the examples run as they are.
async function withPost(operation, fetcher, headers) {
  if (operation.variables?.id !== "") {
    return operation;
  }
  const feed = await fetcher({ query: "{ feed(first: 1) { edges { node { id } } } }" }, { headers });
  const id = feed.data?.feed?.edges[0]?.node.id ?? "";
  return { ...operation, variables: { ...operation.variables, id } };
}

function createFetcher(onToken) {
  // GraphiQL's fetcher hands the headers to fetch, and to the socket as its connection_init payload.
  const inner = GraphiQL.createFetcher({
    url: endpoint.href,
    subscriptionUrl: socketEndpoint.href,
    enableIncrementalDelivery: false, // with it even a plain answer comes as a stream
  });
  return async (operation, options) => {
    const headers = withToken(options?.headers);
    const answer = await inner(await withPost(operation, inner, headers), { ...options, headers });
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
    defaultQuery: welcome,
    defaultHeaders: '{\n  "Authorization": ""\n}',
    defaultEditorToolsVisibility: true,
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
