// Starts GraphiQL on this server's endpoint, with one tab for each operation of examples.graphql.
"use strict";

const endpoint = new URL("graphql", window.location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";

const welcome = `# Photogram's API. Open a tab above, run it with the play button or Ctrl-Enter.
# What needs a signed-in viewer needs a token: run the Login tab, then put this under "Headers":
#   { "Authorization": "Bearer <accessToken>" }
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

function start(tabs) {
  // createFetcher hands the header editor's content to fetch, and as connection_init payload to the socket.
  const fetcher = GraphiQL.createFetcher({ url: endpoint.href, subscriptionUrl: socketEndpoint.href });
  const logo = React.createElement(GraphiQL.Logo, null, React.createElement("span", { className: "photogram-logo" }, "Photogram"));
  const props = {
    fetcher,
    defaultTabs: tabs.length ? tabs : undefined,
    defaultQuery: welcome,
    defaultHeaders: '{\n  "Authorization": ""\n}',
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false, // a token is not left behind in the browser's storage
  };
  ReactDOM.createRoot(document.getElementById("graphiql")).render(React.createElement(GraphiQL, props, logo));
}

examples()
  .catch(() => [])
  .then(start);
