//! Which causes of a fault were told already.
//!
//! What fails is tried again and again, and each time for a cause that may be the same as before, or one of a few that
//! alternate. Whoever reads the log wants to hear of each once, until it works again.

use std::collections::HashSet;

/// So many causes are told apart. One that says something new each time, such as a number, is told so often at most.
const MAX_CAUSES: usize = 16;

/// The causes that were told since it worked last.
#[derive(Debug, Default)]
pub struct ToldCauses(HashSet<String>);

impl ToldCauses {
    /// Whether the cause was not told yet. It is from now on.
    pub fn is_news(&mut self, cause: &str) -> bool {
        !self.0.contains(cause) && self.0.len() < MAX_CAUSES && self.0.insert(cause.to_owned())
    }

    /// It works: whatever comes next is news.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_news_once_until_it_works_again() {
        let mut told = ToldCauses::default();
        assert!(told.is_news("full") && told.is_news("slow"));
        assert!(!told.is_news("full") && !told.is_news("slow"));
        told.clear();
        assert!(told.is_news("full"));
        assert_eq!((0..100).filter(|n| told.is_news(&n.to_string())).count(), MAX_CAUSES - 1);
    }
}
