//! A map of bounded size. Pure.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// A map of two generations. What is touched moves to the young one; when that is full, the old
/// one is dropped and the young one takes its place. So at least the last `capacity / 2` entries
/// touched are kept, no operation looks at more than two tables, and a flood of keys cannot make it
/// larger.
#[derive(Debug)]
pub struct BoundedMap<K, V, S = RandomState> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    capacity: usize,
    evicted: u64,
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> BoundedMap<K, V, S> {
    /// A map of at most `capacity` entries; 0 keeps nothing.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), capacity, evicted: 0 }
    }

    /// Looks at an entry without touching it.
    pub fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The entry, made by `new` when there is none. `None` when the map keeps nothing.
    pub fn touch<Q>(&mut self, key: &Q, new: impl FnOnce() -> V) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if self.capacity == 0 {
            return None;
        }
        if !self.young.contains_key(key) {
            let value = self.old.remove(key).unwrap_or_else(new);
            // Half each, so that both together stay within the capacity.
            if self.young.len() >= self.capacity.div_ceil(2) {
                let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
                self.evicted += dropped.len() as u64;
            }
            self.young.insert(key.to_owned(), value);
        }
        self.young.get_mut(key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.young.values().chain(self.old.values())
    }

    pub fn entries(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// How many entries were dropped to make room since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_keys_never_makes_it_larger_and_is_counted() {
        let mut map: BoundedMap<_, _> = BoundedMap::new(100);
        for key in 0..10_000 {
            map.touch(&key, || key).unwrap();
            assert!(map.entries() <= 101, "{}", map.entries());
        }
        assert!(map.take_evicted() > 9_000);
        assert_eq!(map.take_evicted(), 0);
        assert_eq!(map.peek(&9_999), Some(&9_999));
        assert_eq!(map.peek(&0), None);
    }

    #[test]
    fn what_is_touched_survives() {
        let mut map: BoundedMap<_, _> = BoundedMap::new(10);
        for key in 0..1_000 {
            map.touch(&-1, || 7);
            map.touch(&key, || 0);
        }
        assert_eq!(map.peek(&-1), Some(&7));
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let mut map: BoundedMap<_, _> = BoundedMap::new(0);
        assert_eq!(map.touch(&1, || 1), None);
        assert_eq!(map.entries(), 0);
    }
}
