//! What a plugin does with its settings: what serves goes on to serve, and it is said why.

use cqar_proto::v1::plugin::State;
use cqar_tests::collect::until;

use super::{SYMBOLOGY, VALIDATOR, hostile_server, put_settings, settings, well_behaved};
use crate::{load::Load, swap::plugin};

/// What the settings ask for, and what is said of it.
const CASES: &[(&str, &str)] = &[
    ("loop", "configure: took longer than"),
    ("eat", "configure: needed more than 64 MiB of memory"),
    ("recurse", "configure: "),
    ("trap", "told to trap"),
    ("fail", "TOLD_TO_FAIL"),
    ("sleep", "configure: took longer than"),
    ("print", "configure: took longer than"),
    ("large-answer", "configure: "),
    ("control-characters", "configure: "),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_refuses_its_settings_leaves_the_generation_before() {
    let (server, registered) = hostile_server().await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    for name in [VALIDATOR, SYMBOLOGY] {
        for (number, (does, says)) in CASES.iter().enumerate() {
            // The settings are the input: they have the word that it waits for.
            put_settings(&server, name, &format!("# {number}\n{}", settings(name, does, "configure")));
            let found = until(&format!("{name} {does}"), async || {
                let found = plugin(&server, name).await;
                (found.state() == State::ServingLastGood && found.reason.contains(says)).then_some(found)
            })
            .await;
            assert_eq!(found.generation, 1, "{}", found.reason);
            assert!(found.reason.len() < 5000 && !found.reason.contains(char::is_control), "{}", found.reason);
        }
    }
    load.goes_on().await;
    load.end().await;
}
