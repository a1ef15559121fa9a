//! What can be read.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use error::Error;

use super::{
    connection::{Connection, Edge, begin, connection, page, price},
    context::{app, caller, id},
    search::{
        self, FoundOrderConnection, FoundProductConnection, OrderFilter, OrderSort, ProductFilter, ProductSort, Wanted,
    },
    types::{Customer, Order, Product},
};
use crate::{
    api::http::{orders, products},
    app::customers::CustomerBatch,
    domain::ids::ProductId,
};

/// What a search costs beside its page.
const SEARCH: usize = 100;

/// What can be read.
pub(super) struct Query;

/// What can be read.
#[Object]
impl Query {
    /// The caller's own account; null with an error while the user service does not answer.
    #[graphql(complexity = "10 + child_complexity")]
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<Customer>, Error> {
        let user = caller(ctx)?.user;
        let own = CustomerBatch::new(caller(ctx)?, [user]);
        Ok(app(ctx).customer(&own, user).await?.map(Customer::from))
    }

    /// A product of the catalogue.
    #[graphql(complexity = "5 + child_complexity")]
    async fn product(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Product>, Error> {
        let id: ProductId = self::id(&id, "product")?;
        Ok(Some(Product(app(ctx).product(id).await?)))
    }

    /// Products by article number.
    #[graphql(complexity = "price(first, child_complexity)")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Words that article number, name or description have, or words that begin so.")] query: Option<
            String,
        >,
        #[graphql(desc = "How many, 1 to 100; 20 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
    ) -> Result<Option<Connection<Edge<Product>>>, Error> {
        let query = query.unwrap_or_default();
        products::check_query(&query)?;
        let page = page(first, after.as_deref())?;
        let after = begin(&page, products::parse_cursor)?;
        let found = app(ctx).list_products(&query, after, page.limit + 1).await?;
        Ok(Some(connection(&page, found, products::cursor, Product)))
    }

    /// Products that all words and filters fit, with facets and what is highlighted.
    #[graphql(complexity = "price(first, child_complexity) + SEARCH")]
    async fn search_products(
        &self,
        ctx: &Context<'_>,
        filter: Option<ProductFilter>,
        #[graphql(desc = "What they come by; RELEVANCE where nothing is said.")] sort: Option<ProductSort>,
        #[graphql(desc = "How many, 1 to 100; 20 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
    ) -> Result<Option<FoundProductConnection>, Error> {
        search::products(ctx, filter, Wanted { sort, first, after }).await.map(Some)
    }

    /// Everybody's orders that all words and filters fit; for operators, on a search server.
    #[graphql(complexity = "price(first, child_complexity) + SEARCH")]
    async fn search_orders(
        &self,
        ctx: &Context<'_>,
        filter: Option<OrderFilter>,
        #[graphql(desc = "What they come by; NEWEST where nothing is said.")] sort: Option<OrderSort>,
        #[graphql(desc = "How many, 1 to 100; 20 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
    ) -> Result<Option<FoundOrderConnection>, Error> {
        search::orders(ctx, filter, Wanted { sort, first, after }).await.map(Some)
    }

    /// An order of the caller's; an operator may see each.
    #[graphql(complexity = "5 + child_complexity")]
    async fn order(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Order>, Error> {
        let caller = caller(ctx)?;
        let order = app(ctx).order(caller, self::id(&id, "order")?).await?;
        Ok(Some(Order::single(caller, order)))
    }

    /// The caller's orders, newest first.
    #[graphql(complexity = "price(first, child_complexity)")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose orders an operator asks for: an id, or `all`.")] user_id: Option<String>,
        #[graphql(desc = "How many, 1 to 100; 20 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
    ) -> Result<Option<Connection<Edge<Order>>>, Error> {
        let caller = caller(ctx)?;
        let asked = orders::asked(caller.operator, user_id.as_deref())?;
        let page = page(first, after.as_deref())?;
        let after = begin(&page, orders::parse_cursor)?;
        let found = app(ctx).list_orders(caller, asked, after, page.limit + 1).await?;
        let shown = found.iter().take(page.limit as usize);
        let customers = Arc::new(CustomerBatch::new(caller, shown.map(|order| order.user)));
        let node = |order| Order { order, customers: Arc::clone(&customers) };
        Ok(Some(connection(&page, found, orders::cursor, node)))
    }
}
