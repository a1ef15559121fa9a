//! Placing an order: it is stored where no reader sees it, its lines are taken from stock, then it becomes visible.
//!
//! Whoever finds an order half-way can complete it, because its document holds all there is to do; of several who try,
//! each change happens once. An order that nobody completes is aborted after a while.

use messaging::Event;
use mongodb::{
    bson::{self, Document, doc},
    options::ReadConcern,
};

use super::{
    MongoStore, contention,
    documents::{ItemDocument, OrderDocument, StageName},
    id,
    stock::{Operation, StockChange, StockLevels},
};
use crate::{
    app::ports::{Placed, Shortage, StoreError},
    domain::{ids::UserId, order::Order},
};

/// How often it is tried anew when others take or release the same stock.
const MAX_ROUNDS: u32 = 16;
/// The pause before the second round; it grows by as much each time, so that competing requests drift apart.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

impl MongoStore {
    pub(super) async fn place_order(&self, order: &Order, events: &[Event]) -> Result<Placed, StoreError> {
        let products: Vec<bson::Uuid> = order.items.iter().map(|item| id(item.product.0)).collect();
        // Until it is placed: what is too much is refused here, before anything is asked or stored.
        let _places = self.gates.enter(&products)?;
        let mut document = OrderDocument::reserving(order, bson::Uuid::new(), self.server_time().await?);
        for round in 0..MAX_ROUNDS {
            tokio::time::sleep(PAUSE * round).await;
            // Before the order is stored: that it was stored afterwards proves that it was in its stage when the
            // epochs had been read (see `stock`), and so each product is read once for all.
            let levels = self.stock_levels(&products).await?;
            let short = shortages(&document.items, &levels);
            // What cannot be served is not even stored: a refused order leaves nothing to clean up.
            if short.is_empty() {
                document.renew_operation(self.server_time().await?);
                if self.insert(document.with_events(events)?).await? && self.reserve(&document, Some(levels)).await? {
                    return Ok(Placed::Stored);
                }
            }
            // Looked up last, after the stock: a shortage may be what this very order holds, placed by another request.
            match mongodb::within("find orders", self.orders.find_one(doc! { "_id": document.id })).await? {
                Some(found) if self.complete(&found).await? => return Ok(Placed::Existing(Box::new(found.order()?))),
                None if self.is_closing_now(order.user).await? => return Ok(Placed::AccountClosing),
                None if !short.is_empty() => return Ok(Placed::Shortage(short)),
                // Aborted, or inserted by another request and not known to a majority yet: another round.
                Some(_) | None => {}
            }
        }
        Err(contention())
    }

    /// Completes an order that is being placed; says whether it is placed.
    async fn complete(&self, found: &OrderDocument) -> Result<bool, StoreError> {
        match found.stage.map(|stage| stage.name) {
            Some(StageName::Reserving) => self.reserve(found, None).await,
            Some(StageName::Aborting) => self.abort(found).await.map(|()| false),
            Some(StageName::Returning) | None => Ok(true),
        }
    }

    async fn insert(&self, document: Document) -> Result<bool, StoreError> {
        match mongodb::within("insert orders", self.orders.clone_with_type().insert_one(document)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lines from stock and makes the order visible, or aborts it; says whether it is placed.
    async fn reserve(&self, document: &OrderDocument, levels: Option<StockLevels>) -> Result<bool, StoreError> {
        let Some(operation) = document.operation(StageName::Reserving) else {
            return Ok(document.is_placed());
        };
        // After the order was stored: whoever marks the account afterwards looks for orders that are being placed, and
        // finds this one. Asked before, both could miss each other.
        let closing = self.is_closing_now(UserId(super::uuid(document.user)));
        let (closing, taken) =
            futures::join!(closing, self.take(operation, &document.items, levels.unwrap_or_default()));
        let taken = if closing? { StockChange::Insufficient } else { taken? };
        match taken {
            StockChange::Applied => {}
            StockChange::Insufficient => {
                self.abort(document).await?;
                return Ok(false);
            }
            // Another process has completed or aborted it.
            StockChange::StageOver => return self.is_placed_now(document.id).await,
        }
        let reserving = doc! { "_id": operation.order, "stage.op": operation.id, "stage.name": operation.stage.name() };
        // One update makes the order visible and its events known to the relay, which looks for `waiting`.
        let show = doc! { "$unset": { "stage": "" }, "$min": { "waiting": document.created_at } };
        if mongodb::within("update orders", self.orders.update_one(reserving, show)).await?.matched_count == 1 {
            self.wake.poke();
            return Ok(true);
        }
        // Aborted meanwhile, which took the stock back, or made visible by another process.
        self.is_placed_now(document.id).await
    }

    /// Takes the lines from stock, until one cannot be taken.
    ///
    /// In the same sequence for every order: of those that compete for the same last pieces, the one that gets the first
    /// product gets the others too, instead of each order getting some and none getting all.
    async fn take(
        &self,
        operation: Operation,
        items: &[ItemDocument],
        mut levels: StockLevels,
    ) -> Result<StockChange, StoreError> {
        let mut items: Vec<&ItemDocument> = items.iter().collect();
        items.sort_by_key(|item| item.product.bytes());
        for item in items {
            let read = levels.remove(&item.product);
            let taken = self.change_stock(operation, item.product, -item.quantity, read).await?;
            if taken != StockChange::Applied {
                return Ok(taken);
            }
        }
        Ok(StockChange::Applied)
    }

    async fn is_placed_now(&self, order: bson::Uuid) -> Result<bool, StoreError> {
        let found = mongodb::within("find orders", self.orders.find_one(doc! { "_id": order })).await?;
        Ok(found.is_some_and(|order| order.is_placed()))
    }

    /// Aborts an order that is being placed, unless it is placed by now.
    pub(super) async fn abort(&self, document: &OrderDocument) -> Result<(), StoreError> {
        let Some(stage) = document.stage.filter(|stage| stage.name.is_hidden()) else {
            return Ok(());
        };
        let operation = Operation { order: document.id, stage: StageName::Aborting, id: stage.op };
        let reserving = doc! { "_id": document.id, "stage.op": stage.op, "stage.name": StageName::Reserving.name() };
        let aborting = doc! { "$set": { "stage.name": StageName::Aborting.name() } };
        // The point of no return: from here on the order cannot become visible, and nobody begins to take stock for it.
        let begun =
            mongodb::within("update orders", self.orders.update_one(reserving, aborting)).await?.matched_count == 1;
        // Not begun here, but perhaps by another process that died: then it is carried on. Otherwise it is placed or gone.
        if !begun && !self.is_in_stage(operation).await? {
            return Ok(());
        }
        for item in &document.items {
            self.undo(operation, item.product, -item.quantity).await?;
        }
        // Last: until all is undone, the document tells whoever comes next what is left to undo.
        let undone = doc! { "_id": document.id, "stage.op": stage.op, "stage.name": StageName::Aborting.name() };
        mongodb::within("delete orders", self.orders.delete_one(undone)).await?;
        Ok(())
    }

    /// Whether the account is closing. Linearizable: a mark that was set before this read is seen, whatever this
    /// process' primary knows.
    async fn is_closing_now(&self, user: UserId) -> Result<bool, StoreError> {
        let mark = self.closing.find_one(doc! { "_id": id(user.0) }).read_concern(ReadConcern::linearizable());
        Ok(mongodb::within("find closing_accounts", mark).await?.is_some())
    }
}

impl OrderDocument {
    /// Draws a new operation for another round: the one before may have been aborted, and what is undone is never
    /// applied again.
    fn renew_operation(&mut self, now: time::OffsetDateTime) {
        if let Some(stage) = &mut self.stage {
            (stage.op, stage.at) = (bson::Uuid::new(), clock::micros(now));
        }
    }

    /// The operation that the order is in, if it is in that stage.
    pub(super) fn operation(&self, stage: StageName) -> Option<Operation> {
        let current = self.stage.filter(|current| current.name == stage)?;
        Some(Operation { order: self.id, stage, id: current.op })
    }
}

/// The lines that these stock levels cannot serve.
fn shortages(items: &[ItemDocument], levels: &StockLevels) -> Vec<Shortage> {
    let available = |item: &ItemDocument| levels.get(&item.product).map_or(0, |level| level.available);
    let lines = items.iter().enumerate();
    lines
        .map(|(line, item)| (line, item.quantity, available(item)))
        .filter(|(_, wanted, available)| wanted > available)
        .map(|(line, _, available)| Shortage { line, available })
        .collect()
}
