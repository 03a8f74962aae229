use cqar_domain::id::EntityType;
use prometheus::Registry;

use super::*;
use crate::{
    directory::scan::Beside, generation_store::GenerationRecord, kinds::KindRef, plugin_config::PluginConfig,
    stats::Metrics, table::Writes,
};

fn entry() -> Entry {
    Entry::new(Stats::new("rule", &Metrics::register(&Registry::new()).unwrap()), &MemoryBudget::new(1))
}

fn candidate(bytes: &[u8]) -> Candidate {
    let hash = Hash::of(bytes);
    let (component, config, beside) = (None, Ok(PluginConfig::default()), Beside::default());
    Candidate { name: "rule".into(), hash, contents: hash, component, bytes: 0, config, beside, is_record: false }
}

fn refusal(fault: Fault, is_retried: bool) -> Rejection {
    Rejection { step: "describe", reason: "took longer".into(), fault, is_retried, replay: None }
}

#[test]
fn bytes_that_may_pass_at_another_time_are_tried_again_ever_later() {
    let mut entry = entry();
    let slow = candidate(b"slow");
    let started = Instant::now();
    entry.contents(slow.clone());
    let mut tried_after = |seconds, is_retried| {
        let now = started + Duration::from_secs(seconds);
        let tried = entry.next(now).is_some();
        if tried {
            entry.reject(&slow, refusal(Fault::Machine, is_retried), now);
        }
        tried
    };
    let tried: Vec<u64> = (0..200).filter(|seconds| tried_after(*seconds, true)).collect();
    assert_eq!(tried, [0, 5, 15, 35, 75, 155]);
    assert!(tried_after(1000, false));
    assert!(!tried_after(10_000, false), "what cannot pass is refused for good");
}

#[test]
fn the_generation_on_record_is_tried_again_though_the_file_is_refused_for_good() {
    let mut entry = entry();
    let (good, bad) = (Candidate { is_record: true, ..candidate(b"good") }, candidate(b"bad"));
    let kind = KindRef::from_name("validator").unwrap();
    entry.record.current = Some(GenerationRecord::new(good.hash, kind, &[EntityType::Market], Beside::default()));
    let started = Instant::now();
    entry.reject(&good, refusal(Fault::Machine, true), started);
    entry.reject(&bad, refusal(Fault::File, false), started);
    assert!(entry.next(started + Duration::from_secs(4)).is_none());
    let due = started + Duration::from_secs(5);
    assert_eq!(entry.next(due).map(|it| it.hash), Some(good.hash));
    entry.reject(&good, refusal(Fault::Machine, false), due);
    assert!(entry.next(started + Duration::from_secs(1000)).is_none());
}

#[test]
fn what_is_not_known_at_the_start_holds_all_writes_until_it_is_known_or_a_bad_file() {
    let mut entry = entry();
    let unsettled = |entry: &Entry| entry.publish("rule", false).missing_for;
    let new = candidate(b"new");
    entry.contents(new.clone());
    assert_eq!(unsettled(&entry), None, "a file that came later holds nothing before it is known");

    entry.is_unknown_since_start = true;
    let now = Instant::now();
    assert_eq!(unsettled(&entry), Some(Writes::OfAllTypes));
    entry.next(now).unwrap();
    entry.described(new.contents, Described { judges: vec![EntityType::Market] });
    assert_eq!(unsettled(&entry), Some(Writes::Of(vec![EntityType::Market])));
    entry.reject(&new, refusal(Fault::Machine, true), now);
    assert_eq!(unsettled(&entry), Some(Writes::Of(vec![EntityType::Market])), "it may pass yet");

    entry.next(now + FIRST_RETRY).unwrap();
    entry.reject(&new, refusal(Fault::File, false), now);
    assert_eq!(unsettled(&entry), None, "a bad file changes nothing");
}
