// Puts GraphiQL on the page, on the address that the page is at. The access token goes under Headers, which a subscription
// sends with connection_init; without one the catalogue and the schema can be read.
const query = `# Whatever is somebody's own needs an access token under Headers, as \`trireme token EMAIL\` prints it:
#   { "Authorization": "Bearer ..." }
query Catalogue {
  products(query: "tea", first: 5) {
    edges {
      node { name available price { amount currency } }
    }
  }
}

query Orders {
  orders(first: 5) {
    edges {
      node { id status customer { name } }
    }
  }
}

subscription Watch {
  orderEvents {
    type
    order { id status }
  }
}
`;
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({
      url: location.pathname,
      subscriptionUrl: `${location.origin.replace("http", "ws")}${location.pathname}/stream`,
    }),
    defaultQuery: query,
  }),
);
