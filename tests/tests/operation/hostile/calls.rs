//! What a plugin does when it is called, one after another and three times over.

use std::time::Duration;

use cqar_proto::v1::{FormatSymbolRequest, ResolveMarketRequest, format_symbol_request::Key};
use cqar_tests::server::Server;
use tonic::{Code, Status};

use super::{
    PEAK_KIB, Registered, SYMBOLOGY, VALIDATOR, behave, hostile_server, into_hostile, memory_kib, well_behaved,
};
use crate::{
    fixture::{apply, create, import_listing, market, mutation},
    load::Load,
    swap::plugin,
};

/// What one round may leave in memory beside the round before: pages that the allocator has not given back yet.
const GROWTH: f64 = 1.05;

/// What is asked of a plugin that misbehaves on it.
enum Ask {
    /// A market is written.
    Write,
    /// A symbol is read.
    Read,
    /// A symbol is written.
    Format,
    /// A listing is imported.
    Import,
}

struct Case {
    plugin: &'static str,
    /// What it does.
    does: &'static str,
    export: &'static str,
    ask: Ask,
    /// What is said of it; none where the call ends well.
    says: Option<&'static str>,
}

const fn case(
    plugin: &'static str,
    does: &'static str,
    export: &'static str,
    ask: Ask,
    says: Option<&'static str>,
) -> Case {
    Case { plugin, does, export, ask, says }
}

const CASES: &[Case] = &[
    case(VALIDATOR, "loop", "validate", Ask::Write, Some("took longer than 250 ms to compute")),
    case(VALIDATOR, "eat", "validate", Ask::Write, Some("needed more than 64 MiB of memory")),
    case(VALIDATOR, "recurse", "validate", Ask::Write, Some("call stack exhausted")),
    case(VALIDATOR, "trap", "validate", Ask::Write, Some("told to trap")),
    case(VALIDATOR, "fail", "validate", Ask::Write, Some("TOLD_TO_FAIL")),
    case(VALIDATOR, "fail-control-characters", "validate", Ask::Write, Some("failed: ")),
    case(VALIDATOR, "sleep", "validate", Ask::Write, Some("took longer than 2000 ms in all")),
    case(VALIDATOR, "file", "validate", Ask::Write, None),
    case(VALIDATOR, "socket", "validate", Ask::Write, None),
    case(VALIDATOR, "print", "validate", Ask::Write, Some("took longer than")),
    case(VALIDATOR, "lookup-flood", "validate", Ask::Write, None),
    case(VALIDATOR, "log-flood", "validate", Ask::Write, Some("took longer than")),
    case(VALIDATOR, "large-answer", "validate", Ask::Write, None),
    case(VALIDATOR, "wrong-number", "validate", Ask::Write, Some("gave an answer that is none")),
    case(VALIDATOR, "control-characters", "validate", Ask::Write, None),
    case(SYMBOLOGY, "loop", "parse", Ask::Read, Some("took longer than 250 ms to compute")),
    case(SYMBOLOGY, "eat", "parse", Ask::Read, Some("needed more than 64 MiB of memory")),
    case(SYMBOLOGY, "trap", "parse", Ask::Read, Some("told to trap")),
    case(SYMBOLOGY, "large-kind", "parse", Ask::Read, Some("gave an answer that is none: kind")),
    case(SYMBOLOGY, "large-extra", "parse", Ask::Read, Some("gave an answer that is none: extra")),
    case(SYMBOLOGY, "large-answer", "parse", Ask::Read, None),
    case(SYMBOLOGY, "loop", "format", Ask::Format, Some("took longer than 250 ms to compute")),
    case(SYMBOLOGY, "trap", "format", Ask::Format, Some("told to trap")),
    case(SYMBOLOGY, "large-kind", "format", Ask::Format, None),
    case(SYMBOLOGY, "large-answer", "format", Ask::Format, Some("gave an answer that is none: a symbol of")),
    case(SYMBOLOGY, "control-characters", "format", Ask::Format, None),
    case(SYMBOLOGY, "loop", "normalize-assets", Ask::Import, Some("took longer than")),
    case(SYMBOLOGY, "large-answer", "normalize-assets", Ask::Import, Some("")),
    case(SYMBOLOGY, "wrong-number", "normalize-assets", Ask::Import, Some("gave an answer that is none")),
    case(SYMBOLOGY, "million-coverages", "read-listing", Ask::Import, Some("")),
    case(SYMBOLOGY, "million-markets", "read-listing", Ask::Import, Some("")),
    case(SYMBOLOGY, "trap", "read-listing", Ask::Import, Some("told to trap")),
];

async fn ask(server: &Server, ask: &Ask, registered: &Registered, number: usize) -> Result<(), Status> {
    let answered = match ask {
        Ask::Write => {
            let create = mutation(create(market("okx", &format!("HOSTILE{number}"), &registered.spot)));
            apply(server, vec![create]).await.map(drop)
        }
        Ask::Read => {
            let request = ResolveMarketRequest {
                venue_id: "hostile".into(),
                venue_symbol: "HOSTILE-USDT".into(),
                allow_inferred: true,
                ..ResolveMarketRequest::default()
            };
            server.markets().await.resolve_market(request).await.map(drop)
        }
        Ask::Format => {
            let request = FormatSymbolRequest {
                key: Some(Key::InstrumentId(registered.unlisted.clone())),
                venue_id: "hostile".into(),
                allow_inferred: true,
                ..FormatSymbolRequest::default()
            };
            server.markets().await.format_symbol(request).await.map(drop)
        }
        Ask::Import => import_listing(server, into_hostile(), b"\"HOSTILE-USDT\"").await.map(drop),
    };
    match answered {
        // That it is not known is an answer.
        Err(status) if status.code() == Code::NotFound => Ok(()),
        answered => answered,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_plugin_does_hurts_its_neighbours() {
    let (server, registered) = hostile_server().await;
    let pid = server.pid();
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    let (mut resident, mut number) = (Vec::new(), 0);
    for round in 0..3 {
        for case in CASES {
            behave(&server, case.plugin, case.does, case.export).await;
            number += 1;
            let answered = ask(&server, &case.ask, &registered, number).await;
            let failures = plugin(&server, case.plugin).await.failures;
            match (case.says, &answered) {
                (None, Ok(())) => {}
                (Some(says), Err(status)) => {
                    assert_eq!(status.code(), Code::Unavailable, "{} {}: {status:?}", case.plugin, case.does);
                    assert!(status.message().contains(says) && status.message().len() < 4000, "{status:?}");
                    assert!(!status.message().contains(char::is_control), "{status:?}");
                    assert!(failures[0].reason.contains(says), "{failures:?}");
                }
                (says, answered) => panic!("{} {}: {says:?}, {answered:?}", case.plugin, case.does),
            }
        }
        load.goes_on().await;
        // What was dropped is given back within the allocator's own time.
        let settled = || memory_kib(&server, "VmRSS");
        tokio::time::sleep(Duration::from_secs(2)).await;
        resident.push(settled());
        println!(
            "round {round}: {} MiB resident, {} MiB at most",
            resident[round] >> 10,
            memory_kib(&server, "VmHWM") >> 10
        );
    }
    load.end().await;
    assert_eq!(server.pid(), pid);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let growth = resident[2] as f64 / resident[1] as f64;
    assert!(growth < GROWTH, "{resident:?}");
    assert!(memory_kib(&server, "VmHWM") < PEAK_KIB, "{}", memory_kib(&server, "VmHWM"));
}
