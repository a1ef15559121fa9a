//! Placing an order: stored where nobody sees it, its lines taken from stock, then shown, all or nothing.
//!
//! Whoever meets an order on its way can finish it, because its document holds all there is to do; of several who try,
//! each change happens once. An order that is left behind is called off after a while.

use messaging::Event;
use mongodb::{
    bson::{self, Document, doc},
    options::ReadConcern,
};

use super::{
    MongoStore, contention,
    documents::{ItemDocument, OrderDocument, StageName},
    id,
    stock::{Changed, Shelves, Step},
};
use crate::{
    app::ports::{Placed, Shortage, StoreError},
    domain::{ids::UserId, order::Order},
};

/// How often it is tried anew when others take or give back what is wanted.
const ROUNDS: u32 = 16;
/// The pause before the second round; it grows by as much each time, so that those who want the same part.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

impl MongoStore {
    pub(super) async fn place_order(&self, order: &Order, events: &[Event]) -> Result<Placed, StoreError> {
        let mut document = OrderDocument::reserving(order, bson::Uuid::new(), self.clock.now());
        let products: Vec<bson::Uuid> = document.items.iter().map(|item| item.product).collect();
        for round in 0..ROUNDS {
            tokio::time::sleep(PAUSE * round).await;
            let shelves = self.shelves(&products).await?;
            let short = shortage(&document.items, &shelves);
            if short.is_empty() {
                document.renew(self.clock.now());
                if self.insert(document.telling(events)?).await? && self.finish(&document, Some(shelves)).await? {
                    return Ok(Placed::Stored);
                }
            }
            match mongodb::within(self.orders.find_one(doc! { "_id": document.id })).await? {
                Some(found) if self.settle(&found).await? => return Ok(Placed::Existing(Box::new(found.order()?))),
                None if self.is_closing_now(order.user).await? => return Ok(Placed::AccountClosing),
                None if !short.is_empty() => return Ok(Placed::Shortage(short)),
                Some(_) | None => {}
            }
        }
        Err(contention())
    }

    /// Finishes what is being placed; says whether the order is placed.
    pub(super) async fn settle(&self, found: &OrderDocument) -> Result<bool, StoreError> {
        match found.stage.map(|stage| stage.name) {
            Some(StageName::Reserving) => self.finish(found, None).await,
            Some(StageName::Aborting) => self.abort(found).await.map(|()| false),
            Some(StageName::Returning) | None => Ok(true),
        }
    }

    async fn insert(&self, document: Document) -> Result<bool, StoreError> {
        match mongodb::within(self.orders.clone_with_type().insert_one(document)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lines and shows the order, or calls it off; says whether it is placed.
    async fn finish(&self, document: &OrderDocument, shelves: Option<Shelves>) -> Result<bool, StoreError> {
        let Some(step) = document.step(StageName::Reserving) else {
            return Ok(document.is_placed());
        };
        if self.is_closing_now(UserId(super::uuid(document.user))).await? {
            self.abort(document).await?;
            return Ok(false);
        }
        let mut shelves = shelves.unwrap_or_default();
        // In one order for everybody: of those who want the same, somebody gets it.
        let mut items: Vec<&ItemDocument> = document.items.iter().collect();
        items.sort_by_key(|item| item.product.bytes());
        for item in items {
            let read = shelves.remove(&item.product);
            match self.change_stock(step, item.product, -item.quantity, read).await? {
                Changed::Done => {}
                Changed::Short => {
                    self.abort(document).await?;
                    return Ok(false);
                }
                Changed::Over => return self.is_shown(document.id).await,
            }
        }
        let reserving = doc! { "_id": step.order, "stage.op": step.op, "stage.name": step.name.name() };
        let show = doc! { "$unset": { "stage": "" }, "$min": { "waiting": document.created_at } };
        if mongodb::within(self.orders.update_one(reserving, show)).await?.matched_count == 1 {
            self.wake.poke();
            return Ok(true);
        }
        self.is_shown(document.id).await
    }

    async fn is_shown(&self, order: bson::Uuid) -> Result<bool, StoreError> {
        let found = mongodb::within(self.orders.find_one(doc! { "_id": order })).await?;
        Ok(found.is_some_and(|order| order.is_placed()))
    }

    /// Calls an order off that is being placed, unless it is placed by now.
    pub(super) async fn abort(&self, document: &OrderDocument) -> Result<(), StoreError> {
        let Some(stage) = document.stage.filter(|stage| stage.name.is_hidden()) else {
            return Ok(());
        };
        let step = Step { order: document.id, name: StageName::Aborting, op: stage.op };
        let reserving = doc! { "_id": document.id, "stage.op": stage.op, "stage.name": StageName::Reserving.name() };
        let aborting = doc! { "$set": { "stage.name": StageName::Aborting.name() } };
        let begun = mongodb::within(self.orders.update_one(reserving, aborting)).await?.matched_count == 1;
        if !begun && !self.is_in(step).await? {
            return Ok(());
        }
        for item in &document.items {
            self.undo(step, item.product, -item.quantity).await?;
        }
        let undone = doc! { "_id": document.id, "stage.op": stage.op, "stage.name": StageName::Aborting.name() };
        mongodb::within(self.orders.delete_one(undone)).await?;
        Ok(())
    }

    /// Whether the account is closing: asked after the order is stored, so that either this sees the mark or whoever
    /// set it sees the order.
    async fn is_closing_now(&self, user: UserId) -> Result<bool, StoreError> {
        let mark = self.closing.find_one(doc! { "_id": id(user.0) }).read_concern(ReadConcern::linearizable());
        Ok(mongodb::within(mark).await?.is_some())
    }
}

impl OrderDocument {
    /// Draws another step, for another try.
    fn renew(&mut self, now: time::OffsetDateTime) {
        if let Some(stage) = &mut self.stage {
            (stage.op, stage.at) = (bson::Uuid::new(), clock::micros(now));
        }
    }

    /// The step that the order is in, if it is of that name.
    pub(super) fn step(&self, name: StageName) -> Option<Step> {
        let stage = self.stage.filter(|stage| stage.name == name)?;
        Some(Step { order: self.id, name, op: stage.op })
    }
}

/// The lines that these shelves cannot serve.
fn shortage(items: &[ItemDocument], shelves: &Shelves) -> Vec<Shortage> {
    let available = |item: &ItemDocument| shelves.get(&item.product).map_or(0, |shelf| shelf.available);
    let lines = items.iter().enumerate();
    lines
        .map(|(line, item)| (line, item.quantity, available(item)))
        .filter(|(_, wanted, available)| wanted > available)
        .map(|(line, _, available)| Shortage { line, available })
        .collect()
}
