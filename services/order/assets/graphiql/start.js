// Puts GraphiQL on the page, on the address that the page is at. The access token goes under Headers.
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: location.pathname }),
    defaultHeaders: '{ "Authorization": "Bearer " }',
    defaultQuery: "{\n  products(query: \"tea\", first: 5) {\n    edges { node { name available price { amount currency } } }\n  }\n}\n",
  }),
);
