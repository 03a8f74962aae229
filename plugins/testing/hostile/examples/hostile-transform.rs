//! A transform that passes every event, and does what its settings ask for; the crate `hostile` says what that can be. It
//! implements the bare exports, since what the traits of the SDK allow is not wrong enough.

use cqar_plugin_transform::{
    bindings::exports::cqar::plugin::{
        lifecycle,
        transform::{self, Action, Content, Event, Outgoing},
    },
    plugin::{Failure, Field, Problem},
};
use hostile::{
    Answer, Answers, Export,
    texts::{self, CONTROL_CHARACTERS},
};

/// The transform.
pub struct HostileTransform;

const ANSWERS: &Answers = &[(
    Export::Transform,
    &[Answer::Remember, Answer::LargeAnswer, Answer::ManyParts, Answer::WrongNumber, Answer::ControlCharacters],
)];
const PARTS: usize = 15;
const PART_BYTES: usize = 500 << 10;

impl lifecycle::Guest for HostileTransform {
    fn describe() -> String {
        serde_json::json!({
            "name": "hostile-transform", "version": env!("CARGO_PKG_VERSION"), "kind": "transform",
            "description": "Does what its settings ask for.",
            "subscriptions": ["market"], "grants": [], "settings_schema": {"type": "object"},
        })
        .to_string()
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        hostile::configure(&settings, ANSWERS)
    }
}

impl transform::Guest for HostileTransform {
    fn transform(_: String, events: Vec<Event>) -> Result<Vec<Action>, Failure> {
        let answer = hostile::call(Export::Transform, events.iter().map(|event| &event.event))?;
        let mut actions: Vec<_> = events.iter().map(|_| action(answer)).collect();
        if answer == Some(Answer::WrongNumber) {
            actions.pop();
        }
        Ok(actions)
    }
}

fn action(answer: Option<Answer>) -> Action {
    let unchanged = Outgoing { subject_suffix: None, attributes: Vec::new(), body: None };
    let field = |key: &str, value: String| Field { key: key.to_owned(), value };
    let of_text = |data: Vec<u8>| Some(Content { content_type: "text/plain".to_owned(), data });
    match answer {
        Some(Answer::ManyParts) => {
            let part = |_| Outgoing { body: of_text(vec![b'x'; PART_BYTES]), ..unchanged.clone() };
            Action::Emit((0..PARTS).map(part).collect())
        }
        Some(Answer::Remember) => {
            let attributes = vec![field("calls", hostile::calls().to_string())];
            Action::Emit(vec![Outgoing { attributes, ..unchanged }])
        }
        Some(Answer::LargeAnswer) => {
            Action::Emit(vec![Outgoing { body: of_text(texts::large().into_bytes()), ..unchanged }])
        }
        Some(Answer::ControlCharacters) => Action::Emit(vec![Outgoing {
            subject_suffix: Some(CONTROL_CHARACTERS.to_owned()),
            attributes: vec![field(CONTROL_CHARACTERS, CONTROL_CHARACTERS.to_owned())],
            body: Some(Content { content_type: CONTROL_CHARACTERS.to_owned(), data: b"text".to_vec() }),
        }]),
        _ => Action::Pass,
    }
}

#[cfg(target_family = "wasm")]
cqar_plugin_transform::bindings::export!(HostileTransform with_types_in cqar_plugin_transform::bindings);
