//! Gives every tool call of a choice its own index, whatever the backend said.

/// The calls of one choice, in the order of their first pieces.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Known>);

#[derive(Debug)]
struct Known {
    id: Option<String>,
    /// As the backend numbered it, if it did.
    given: Option<u32>,
    /// As the client sees it.
    index: u32,
}

impl Calls {
    /// Whether any call was seen.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a piece with that number may go on under it.
    pub(super) fn would_keep(&self, given: u32, id: Option<&str>, name: Option<&str>) -> bool {
        let id = id.filter(|id| !id.is_empty());
        let named = name.is_some_and(|name| !name.is_empty());
        match self.find(Some(given), id, named) {
            Some(known) => known.index == given,
            // A new call, which must also say its id.
            None => id.is_some() && self.0.iter().all(|known| known.index != given),
        }
    }

    /// The index that the client shall see for this piece, and whether it begins a call.
    pub(super) fn place(&mut self, given: Option<u32>, id: Option<&str>, named: bool) -> (u32, bool) {
        let id = id.filter(|id| !id.is_empty());
        if let Some(known) = self.find(given, id, named) {
            return (known.index, false);
        }
        let free = |index: &u32| self.0.iter().all(|known| known.index != *index);
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let index = given.filter(free).unwrap_or_else(|| (next..).find(free).unwrap_or(next));
        self.0.push(Known { id: id.map(str::to_owned), given, index });
        (index, true)
    }

    fn find(&self, given: Option<u32>, id: Option<&str>, named: bool) -> Option<&Known> {
        match (id, given) {
            (Some(_), _) => self.0.iter().rev().find(|known| known.id.as_deref() == id),
            // A name without an id begins a call, unless its number is already taken by one without an id.
            (None, Some(_)) => self.0.iter().rev().find(|known| known.given == given && !(named && known.id.is_some())),
            (None, None) if named => None,
            (None, None) => self.0.last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Calls;

    #[test]
    fn two_calls_with_the_same_index_get_two_indices_and_their_pieces_follow_them() {
        let mut calls = Calls::default();
        assert_eq!(calls.place(Some(0), Some("a"), true), (0, true));
        assert_eq!(calls.place(Some(0), None, false), (0, false));
        assert_eq!(calls.place(Some(0), Some("b"), true), (1, true));
        assert_eq!(calls.place(Some(0), None, false), (1, false));
        assert_eq!(calls.place(Some(0), Some("a"), false), (0, false));
    }

    #[test]
    fn calls_without_an_index_are_numbered_in_their_order() {
        let mut calls = Calls::default();
        assert_eq!(calls.place(None, Some("a"), true), (0, true));
        assert_eq!(calls.place(None, None, false), (0, false));
        assert_eq!(calls.place(None, Some("b"), true), (1, true));
        assert_eq!(calls.place(None, None, false), (1, false));
    }
}
