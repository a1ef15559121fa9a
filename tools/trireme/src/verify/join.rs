//! Two lists that are sorted by id and come in pages, side by side: a page of each is in memory.

use std::collections::VecDeque;

use anyhow::Result;
use uuid::Uuid;

/// A list that comes in pages.
struct Pages<F, T> {
    fetch: F,
    items: VecDeque<(Uuid, T)>,
    /// The last item that was fetched.
    after: Option<Uuid>,
    ended: bool,
}

impl<F: AsyncFn(Option<Uuid>) -> Result<Vec<(Uuid, T)>>, T> Pages<F, T> {
    fn new(fetch: F) -> Self {
        Self { fetch, items: VecDeque::new(), after: None, ended: false }
    }

    /// The id of the next item.
    async fn peek(&mut self) -> Result<Option<Uuid>> {
        if self.items.is_empty() && !self.ended {
            self.items.extend((self.fetch)(self.after).await?);
            self.after = self.items.back().map(|(id, _)| *id);
            self.ended = self.items.is_empty();
        }
        Ok(self.items.front().map(|(id, _)| *id))
    }

    /// The next item, if it has that id.
    fn take(&mut self, id: Uuid) -> Option<T> {
        let (_, item) = self.items.pop_front_if(|(next, _)| *next == id)?;
        Some(item)
    }
}

/// Calls `each` for every id that either list has. `left` and `right` fetch the page after an id; an empty one is the last.
///
/// # Errors
///
/// A page cannot be fetched.
pub(super) async fn join<L, R>(
    left: impl AsyncFn(Option<Uuid>) -> Result<Vec<(Uuid, L)>>,
    right: impl AsyncFn(Option<Uuid>) -> Result<Vec<(Uuid, R)>>,
    mut each: impl FnMut(Uuid, Option<L>, Option<R>),
) -> Result<()> {
    let (mut left, mut right) = (Pages::new(left), Pages::new(right));
    loop {
        let next = [left.peek().await?, right.peek().await?];
        let Some(id) = next.into_iter().flatten().min() else { return Ok(()) };
        each(id, left.take(id), right.take(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_id_of_either_list_comes_once() {
        let list = |ids: &'static [u128]| {
            async move |after: Option<Uuid>| {
                let later = ids.iter().copied().filter(|id| after.is_none_or(|after| *id > after.as_u128()));
                Ok(later.take(2).map(|id| (Uuid::from_u128(id), id)).collect::<Vec<_>>())
            }
        };
        let mut seen = Vec::new();
        join(list(&[1, 2, 3, 5, 9]), list(&[2, 4, 5, 6, 7, 8]), |_, l, r| seen.push((l, r))).await.unwrap();
        let both = |id| (Some(id), Some(id));
        let (left, right) = (|id| (Some(id), None), |id| (None, Some(id)));
        assert_eq!(seen, [left(1), both(2), left(3), right(4), both(5), right(6), right(7), right(8), left(9)],);
    }
}
