//! What the hostile components share: the settings that choose a behaviour, when it is due, and what all kinds can do.
//!
//! `hostile-validator`, `hostile-symbology` and `hostile-transform` are well behaved until `configure` gets
//! `{"does": "<behaviour>", "in": "<export>", "on": "<text>"}`:
//!
//! - `does` is a behaviour of the tables below.
//! - `in` is the export that it shows in, as the WIT names it: by default the main one of the kind (`validate`, `parse`,
//!   `transform`). With `configure` it shows at once, and the settings are the input.
//! - `on` is a text that the input of the call must contain: of `validate` the `after` or the id of a change, of `parse` a
//!   symbol, of `format` a base, of `normalize-assets` a code, of `read-listing` a body, of `transform` an event. One item
//!   with it suffices, and the behaviour is that of the whole call. Without `on`, every call is one.
//!
//! What an export cannot do, `configure` refuses, so that a test does not pass for a misspelt word.
//!
//! Every export, `configure` too, has the effects, which come before the answer:
//!
//! | effect | what it does |
//! |---|---|
//! | `loop` | computes without end |
//! | `eat` | allocates without bound |
//! | `recurse` | recurses until the stack is exhausted |
//! | `trap` | panics |
//! | `fail` | fails, and says not to try again; in `configure`, refuses the settings |
//! | `fail-retryable` | fails, and says to try again |
//! | `fail-control-characters` | fails, with control characters in the code and the message |
//! | `sleep` | sleeps for ten minutes |
//! | `file` | reads, lists, writes, makes and deletes files; goes on where that is refused, and fails with `NOT_REFUSED` otherwise |
//! | `socket` | connects, listens, sends and resolves names; the same |
//! | `print` | writes to standard output and standard error without end |
//! | `count-traps` | traps on the hundredth call of an instance, or on the first after it that `on` allows |
//! | `log-flood` | logs 100,000 lines of 8 KiB with 64 fields, then answers |
//! | `lookup-flood` | looks 1,000 keys up again and again until it was refused 100 times, then answers |
//!
//! The answers are wrong in ways of their own (`–` where the export has none):
//!
//! | answer | `validate` | `parse` | `format` | `normalize-assets` | `read-listing` | `transform` |
//! |---|---|---|---|---|---|---|
//! | `remember`: the calls of this instance so far | in the message of a warning | `unknown` | the symbol | the code | in the message of a rejection | the attribute `calls` |
//! | `large-answer`: nearly 8 MiB for each item | a message | `unknown` | a symbol | a code | the message of a rejection | a body |
//! | `large-kind`: nearly 8 MiB | – | the kind of a reading | the path of a problem | – | the kind of a reading | – |
//! | `large-extra`: 32 fields of 64 KiB | – | of each reading | – | – | of a reading | – |
//! | `many-extra`: 20 fields of 1,000 bytes, which is allowed | – | of each reading | – | – | – | – |
//! | `many-parts`: 15 messages of 500 KiB, which is allowed | – | – | – | – | – | of each event |
//! | `million-coverages`, `million-rejected`, `million-markets` | – | – | – | – | so many | – |
//! | `findings` | a warning for each change | – | – | – | – | – |
//! | `wrong-number`: one item fewer than asked | the index after the last | yes | yes | yes | the index after the last | yes |
//! | `control-characters` | path, code and message | `unknown` | path, code and message | the code | all texts of a market and of a rejection | suffix, attributes, content type |
//!
//! `configure` has `large-answer` and `control-characters`, as problems.
//!
//! | module | subject |
//! |---|---|
//! | [`effects`] | what every kind can do, whatever it answers |
//! | [`settings`] | what the settings may ask for |
//! | [`texts`] | texts that are wrong in themselves |

pub mod effects;
pub mod settings;
pub mod texts;

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU32, Ordering},
};

use cqar_plugin_sdk::plugin::{Failure, Problem, problem};

pub use settings::{Answer, Export};
use settings::{Behaviour, Does};

/// The answers of each export of a kind, the main one first.
pub type Answers = [(Export, &'static [Answer])];

/// The answers that `configure` can give.
const OF_CONFIGURE: &[Answer] = &[Answer::LargeAnswer, Answer::ControlCharacters];

/// What the settings asked for.
static BEHAVIOUR: RwLock<Option<Behaviour>> = RwLock::new(None);
/// The calls of the export that misbehaves: what a plugin must not keep, and the host cannot keep it from keeping.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Reads the settings. What is to show in `configure` shows now.
pub fn configure(settings: &str, answers: &Answers) -> Result<(), Vec<Problem>> {
    let Some(behaviour) = settings::read(settings, answers, OF_CONFIGURE)? else { return Ok(()) };
    if behaviour.export == Export::Configure {
        return if behaviour.is_due([settings]) { misconfigure(behaviour.does) } else { Ok(()) };
    }
    *BEHAVIOUR.write().unwrap_or_else(PoisonError::into_inner) = Some(behaviour);
    Ok(())
}

fn misconfigure(does: Does) -> Result<(), Vec<Problem>> {
    match does {
        Does::Effect(effect) => effects::show(effect, 1)
            .map_err(|failure| vec![Problem { path: String::new(), code: failure.code, message: failure.message }]),
        Does::Answer(Answer::LargeAnswer) => Err(vec![problem("does", "LARGE", texts::large())]),
        Does::Answer(_) => Err(vec![texts::control_characters_problem()]),
    }
}

/// Counts a call with these texts in its input, and shows the effect that is due; says which wrong answer is.
pub fn call<T: AsRef<str>>(export: Export, input: impl IntoIterator<Item = T>) -> Result<Option<Answer>, Failure> {
    let behaviour = BEHAVIOUR.read().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(behaviour) = behaviour.filter(|it| it.export == export) else { return Ok(None) };
    let calls = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if !behaviour.is_due(input) {
        return Ok(None);
    }
    match behaviour.does {
        Does::Effect(effect) => effects::show(effect, calls).map(|()| None),
        Does::Answer(answer) => Ok(Some(answer)),
    }
}

/// The calls of this instance so far.
pub fn calls() -> u32 {
    CALLS.load(Ordering::Relaxed)
}
