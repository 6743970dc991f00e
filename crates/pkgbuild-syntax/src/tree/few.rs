use std::ops::Deref;
use std::slice;

/// A sequence that is mostly of one: the first is held in place, so that only a second needs an
/// allocation. Reads like a slice.
#[derive(Clone, Debug)]
pub(crate) struct Few<T>(Held<T>);

#[derive(Clone, Debug)]
enum Held<T> {
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) const fn new() -> Self {
        Self(Held::None)
    }

    pub(crate) const fn one(item: T) -> Self {
        Self(Held::One(item))
    }

    /// The same items as a slice.
    pub(crate) fn as_slice(&self) -> &[T] {
        match &self.0 {
            Held::None => &[],
            Held::One(item) => slice::from_ref(item),
            Held::Many(items) => items,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match &mut self.0 {
            Held::None => self.0 = Held::One(item),
            Held::Many(items) => items.push(item),
            Held::One(_) => self.push_second(item),
        }
    }

    fn push_second(&mut self, item: T) {
        let mut items = Vec::with_capacity(4);
        if let Held::One(first) = std::mem::replace(&mut self.0, Held::None) {
            items.push(first);
        }
        items.push(item);
        self.0 = Held::Many(items);
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        match self.0 {
            Held::None => Vec::new(),
            Held::One(item) => vec![item],
            Held::Many(items) => items,
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<'few, T> IntoIterator for &'few Few<T> {
    type Item = &'few T;
    type IntoIter = slice::Iter<'few, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}
