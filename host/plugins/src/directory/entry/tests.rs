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
        let tried = entry.next(now, 0).is_some();
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
    assert!(entry.next(started + Duration::from_secs(4), 0).is_none());
    let due = started + Duration::from_secs(5);
    assert_eq!(entry.next(due, 0).map(|it| it.hash), Some(good.hash));
    entry.reject(&good, refusal(Fault::Machine, false), due);
    assert!(entry.next(started + Duration::from_secs(1000), 0).is_none());
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
    entry.next(now, 0).unwrap();
    entry.described(Described { judges: vec![EntityType::Market] });
    assert_eq!(unsettled(&entry), Some(Writes::Of(vec![EntityType::Market])));
    entry.reject(&new, refusal(Fault::Machine, true), now);
    assert_eq!(unsettled(&entry), Some(Writes::Of(vec![EntityType::Market])), "it may pass yet");

    entry.next(now + FIRST_RETRY, 0).unwrap();
    entry.reject(&new, refusal(Fault::File, false), now);
    assert_eq!(unsettled(&entry), None, "a bad file changes nothing");
}

#[test]
fn the_files_turn_is_not_lost_for_the_records_sake() {
    let mut entry = entry();
    let (record, file) = (Candidate { is_record: true, ..candidate(b"record") }, candidate(b"file"));
    let started = Instant::now();
    entry.reject(&file, refusal(Fault::Machine, true), started);
    entry.reject(&record, refusal(Fault::Machine, true), started);
    let due = started + FIRST_RETRY;
    assert_eq!(entry.next(due, 1).map(|it| it.hash), Some(file.hash));
    entry.reject(&file, refusal(Fault::File, false), due);
    assert_eq!(entry.next(due, 2).map(|it| it.hash), Some(record.hash));
}

#[test]
fn what_is_loaded_for_an_operator_is_not_lost_for_a_newer_file() {
    let mut entry = entry();
    let (record, file) = (Candidate { is_record: true, ..candidate(b"record") }, candidate(b"file"));
    let now = Instant::now();
    entry.contents(file.clone());
    entry.next(now, 1).unwrap();
    // While the file is tried, the plugin is taken out of service and put back.
    entry.disable(DisabledBy::Operator);
    entry.enable(Some(record.clone()));
    entry.contents(candidate(b"newer"));
    assert!(entry.is_trying(1) && entry.is_pending());
    entry.reject(&file, refusal(Fault::File, false), now);
    assert_eq!(entry.next(now, 2).map(|it| it.hash), Some(record.hash));
    assert!(!entry.is_trying(1), "what came of the first attempt would be nobody's");
}

#[test]
fn a_reload_forgets_nothing_of_what_a_rule_judges() {
    let mut entry = entry();
    let rule = candidate(b"rule");
    let now = Instant::now();
    entry.contents(rule.clone());
    entry.next(now, 1).unwrap();
    entry.described(Described { judges: vec![EntityType::Market] });
    entry.reject(&rule, refusal(Fault::Machine, false), now);
    entry.reload();
    entry.contents(rule);
    assert_eq!(entry.publish("rule", false).missing_for, Some(Writes::Of(vec![EntityType::Market])));
}

#[test]
fn an_operators_word_is_not_taken_for_a_deletion_with_its_file() {
    let mut entry = entry();
    assert!(!entry.is_known());
    entry.record.is_disabled = true;
    entry.disable(DisabledBy::Operator);
    assert!(entry.is_known());
    let now = Instant::now();
    assert!(!entry.missed(now));
    entry.unseen();
    assert!(!entry.missed(now + GRACE), "it is missed for as long as it was looked for in vain");
    assert!(entry.missed(now + GRACE * 2));
}
