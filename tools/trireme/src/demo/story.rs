//! Ada buys two mugs. Each step is a real request; each outcome is checked.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    data::Data,
    live::Live,
    output::{Output, bold, dim, mark},
    roles,
    service::Service,
    shop::{Person, Product, Shop},
    state::State,
};

/// One run of the demo.
#[derive(Debug)]
pub(crate) struct Story<'a> {
    data: &'a Data,
    state: &'a State,
    output: &'a Output,
    shop: Shop,
}

/// Somebody who orders, and watches.
struct Customer {
    person: Person,
    live: Live,
}

impl<'a> Story<'a> {
    pub(crate) fn new(data: &'a Data, state: &'a State, output: &'a Output) -> Self {
        let http = |name| state.service(name).map(|service| service.addresses.http.as_str()).unwrap_or_default();
        Self { data, state, output, shop: Shop::new(http(Service::User), http(Service::Order)) }
    }

    /// Tells it from the beginning to the end.
    ///
    /// # Errors
    ///
    /// Something did not go as it should.
    pub(crate) async fn tell(&self) -> Result<()> {
        let ready = self.state.services.iter().map(|service| service.name.to_string()).collect::<Vec<_>>().join(", ");
        self.output.line(&format!("{}\n", bold("Trireme: one order, end to end")));
        self.done("three processes are ready", &ready);
        let ada = self.shop.sign_up("Ada").await?;
        self.done("Ada signs up and logs in", &ada.email);
        let live = self.shop.watch(&ada).await?;
        self.done("she watches her orders", "GET /v1/orders/stream: each line below was told by the shop");
        let mut ada = Customer { person: ada, live };
        let (mug, pot) = self.choose().await?;
        let bought = self.buy(&mut ada, &mug, &pot).await?;
        let operator = self.operator().await?;
        self.fulfil(&operator, &mut ada, &bought).await?;
        self.change_of_mind(&mut ada, &mug).await?;
        self.refund(&mut ada, &bought).await?;
        self.declined(&mut ada, &mug).await?;
        self.count(&ada.person).await?;
        self.stock(&mug, 2, &pot, 1).await
    }

    async fn choose(&self) -> Result<(Product, Product)> {
        let found = self.shop.products("mug").await?;
        self.done("she looks for a mug", &format!("{} found by full-text search", found.len()));
        let plenty = |product: &Product| product.available >= 10;
        let first = found.into_iter().find(plenty).context("no mugs are left")?;
        // An order has one currency.
        let fits = |product: &Product| plenty(product) && product.currency == first.currency && product.id != first.id;
        let second = self.shop.products("").await?.into_iter().find(fits).context("nothing else is left")?;
        Ok((first, second))
    }

    /// The order that goes well, and its retry.
    async fn buy(&self, ada: &mut Customer, mug: &Product, pot: &Product) -> Result<String> {
        let (key, lines) = (Uuid::new_v4().to_string(), [(mug, 2), (pot, 1)]);
        let placed = self.shop.place(&ada.person, &lines, "tok_ok", &key).await?;
        let id = placed.text("id").to_owned();
        self.done(&format!("she orders 2 {} and 1 {}", mug.name, pot.name), &total(&placed.body));
        let order = self.until(ada, &id, "confirmed").await?;
        self.tell_payment(&order, "authorized", "stock is reserved, the money is held")?;
        let again = self.shop.place(&ada.person, &lines, "tok_ok", &key).await?;
        ensure!(again.text("id") == id, "the same Idempotency-Key made another order: {}", again.body);
        ensure!(again.headers.contains_key("idempotent-replayed"), "a repeated order is not marked as such");
        self.done("her client lost the answer and asks again", "same Idempotency-Key, same order, charged once");
        Ok(id)
    }

    async fn operator(&self) -> Result<Person> {
        let grace = self.shop.sign_up("Grace").await?;
        let granted = roles::grant(self.data, self.state, &grace.email, "operator").await?;
        ensure!(granted.status.success(), "`user grant`: {}", String::from_utf8_lossy(&granted.stderr));
        let grace = self.shop.log_in(grace.email).await?;
        self.done("Grace becomes an operator", "trireme grant EMAIL operator");
        Ok(grace)
    }

    async fn fulfil(&self, grace: &Person, ada: &mut Customer, id: &str) -> Result<()> {
        self.shop.command(grace, id, "fulfil").await?;
        let order = self.until(ada, id, "fulfilled").await?;
        self.done("Grace sends the parcel", "");
        self.tell_payment(&order, "captured", "the money has moved")
    }

    /// An order whose provider is down at first, watched, and then cancelled.
    async fn change_of_mind(&self, ada: &mut Customer, mug: &Product) -> Result<()> {
        let placed = self.shop.place(&ada.person, &[(mug, 3)], "tok_unavailable", &Uuid::new_v4().to_string()).await?;
        let id = placed.text("id").to_owned();
        self.done(&format!("Ada orders 3 more {}", mug.name), "the payment provider is down: it is asked again");
        self.until(ada, &id, "confirmed").await?;
        self.shop.command(&ada.person, &id, "cancel").await?;
        self.done("she changes her mind", "");
        let order = self.until(ada, &id, "cancelled").await?;
        self.tell_payment(&order, "voided", "the hold is released, the stock is back")
    }

    async fn refund(&self, ada: &mut Customer, id: &str) -> Result<()> {
        self.shop.command(&ada.person, id, "cancel").await?;
        self.done("the first parcel arrives broken: she wants her money back", "");
        let order = self.until(ada, id, "refunded").await?;
        self.tell_payment(&order, "refunded", "the goods have left, so the stock stays as it is")
    }

    async fn declined(&self, ada: &mut Customer, mug: &Product) -> Result<()> {
        let placed = self.shop.place(&ada.person, &[(mug, 1)], "tok_declined", &Uuid::new_v4().to_string()).await?;
        self.done("she tries a card that is declined", "");
        let order = self.until(ada, placed.text("id"), "rejected").await?;
        ensure!(order["reason"] == "payment_declined", "rejected for another reason: {order}");
        Ok(())
    }

    /// The user service counts confirmed orders from events.
    async fn count(&self, ada: &Person) -> Result<()> {
        self.shop.until_counted(ada, 2).await?;
        self.done("her account counts 2 orders", "from events, through outbox, bus and inbox");
        Ok(())
    }

    async fn stock(&self, mug: &Product, mugs: i64, pot: &Product, pots: i64) -> Result<()> {
        for (before, sold) in [(mug, mugs), (pot, pots)] {
            let left = self.shop.product(&before.id).await?.available;
            ensure!(
                left == before.available - sold,
                "{}: {} were there, {left} are left",
                before.name,
                before.available
            );
        }
        self.done("the stock is short by what was sold", &format!("{mugs} {} and {pots} {}", mug.name, pot.name));
        Ok(())
    }

    /// Shows what the shop tells of an order, until it has become what is expected.
    async fn until(&self, customer: &mut Customer, id: &str, expected: &str) -> Result<Value> {
        let Customer { person, live } = customer;
        let (order, told) = self.shop.until_told(person, live, id, expected).await?;
        ensure!(order["status"] == expected, "the order should be {expected}: {order}");
        self.output.line(&format!("      order {} {}", dim(id), bold(&told.join(" → "))));
        Ok(order)
    }

    fn tell_payment(&self, order: &Value, expected: &str, meaning: &str) -> Result<()> {
        let status = &order["payment"]["status"];
        ensure!(status == expected, "the payment should be {expected}: {order}");
        self.output.line(&format!("      payment {} {}", bold(expected), dim(meaning)));
        Ok(())
    }

    fn done(&self, what: &str, detail: &str) {
        let detail = if detail.is_empty() { String::new() } else { format!("  {}", dim(detail)) };
        self.output.line(&format!("  {} {what}{detail}", mark(true)));
    }
}

/// The order's total, for people.
fn total(order: &Value) -> String {
    let amount = order["total"]["amount"].as_i64().unwrap_or_default();
    let currency = order["total"]["currency"].as_str().unwrap_or_default();
    format!("{}.{:02} {currency}", amount / 100, amount % 100)
}
