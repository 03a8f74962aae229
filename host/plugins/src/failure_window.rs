//! How the last calls of a generation ended: whether it is to be taken back.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

/// The last calls count: a generation that fails at what is asked today is to be taken back, whatever it did last week.
const WINDOW: usize = 100;
/// Fewer calls say nothing.
const MIN_CALLS: usize = 20;
/// One input that fails again and again is one input.
const MIN_INPUTS: usize = 3;

/// The window of one generation.
#[derive(Debug, Default)]
pub(crate) struct FailureWindow {
    /// The hash of the input of each call that failed.
    ended: Mutex<VecDeque<Option<u64>>>,
    is_failing: AtomicBool,
}

impl FailureWindow {
    /// Notes how a call ended; `failed_input` is the input, if it failed. True when that makes it one of which over half of at least 20
    /// calls failed, on at least 3 inputs.
    pub(crate) fn note(&self, failed_input: Option<&str>) -> bool {
        let failed = failed_input.map(|input| {
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            hasher.finish()
        });
        let mut ended = self.ended.lock();
        if ended.len() == WINDOW {
            ended.pop_front();
        }
        ended.push_back(failed);
        if failed.is_none() && !self.is_failing.load(Ordering::Relaxed) {
            return false;
        }
        let failures = ended.iter().flatten().count();
        let inputs: BTreeSet<_> = ended.iter().flatten().collect();
        let is_failing = ended.len() >= MIN_CALLS && failures * 2 > ended.len() && inputs.len() >= MIN_INPUTS;
        is_failing & !self.is_failing.swap(is_failing, Ordering::Relaxed)
    }

    /// Whether it is failing now: one that has recovered is not.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Calls, and failures among them.
    pub(crate) fn figures(&self) -> (usize, usize) {
        let ended = self.ended.lock();
        (ended.len(), ended.iter().flatten().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_at(failed_inputs: impl IntoIterator<Item = Option<&'static str>>) -> Vec<usize> {
        let window = FailureWindow::default();
        let noted = failed_inputs.into_iter().enumerate().filter(|(_, input)| window.note(*input));
        noted.map(|(index, _)| index + 1).collect()
    }

    #[test]
    fn twenty_calls_of_which_more_than_half_failed_on_three_inputs_are_enough_and_nothing_less() {
        let inputs = ["a", "b", "c"];
        let failing = || (0..).map(|n| Some(inputs[n % 3]));
        assert_eq!(over_at(failing().take(100)), [20], "said once");
        assert!(over_at(failing().take(19)).is_empty());
        assert!(over_at(std::iter::repeat_n(Some("a"), 200)).is_empty(), "one input");
        let half = (0..200).map(|n| (n % 2 == 1).then(|| inputs[n % 3]));
        assert!(over_at(half).is_empty(), "just half");
    }

    #[test]
    fn a_generation_that_was_good_for_long_is_judged_by_its_last_calls() {
        let good = std::iter::repeat_n(None, 10_000);
        let over = over_at(good.chain((0..100).map(|n| Some(["a", "b", "c"][n % 3]))));
        assert_eq!(over, [10_051]);
    }
}
