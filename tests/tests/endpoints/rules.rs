//! The rules, each tried on every method that it concerns.

use cqar_domain::id::EntityType;
use cqar_proto::v1::{Event, WatchRequest, event_service_client::EventServiceClient, watch_response::Step};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, SampleRegistry, reason, wrong_fields},
    kinds::case::Case,
    server::Server,
};
use futures::StreamExt;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    call::{ACTOR, Call, KEY, call},
    cases::{LISTING, cases},
    contract::{answered, asked, etag_pointer, has, is_write, message_of, methods, name},
    exceptions::{EXCEPTIONS, Rule, is_exception, matches},
};

/// A revision that is far away.
const FUTURE: i64 = 1 << 40;

#[test]
fn every_method_has_one_case_and_every_exception_a_method() {
    let mut with_case: Vec<String> = cases().iter().map(|case| case.method.to_owned()).collect();
    let mut all: Vec<String> = methods().iter().map(name).collect();
    all.sort();
    with_case.sort();
    assert_eq!(with_case, all);
    assert!(EXCEPTIONS.iter().all(|(method, _, why)| all.iter().any(|it| matches(method, it)) && !why.is_empty()));
}

#[test]
fn the_fields_that_a_rule_needs_are_there() {
    for method in methods() {
        let (name, asked, answered) = (name(&method), asked(&method), answered(&method));
        let reads = has(&asked, "min_revision");
        let missing = |fields: &[&str], of: &MessageDescriptor| {
            fields.iter().filter(|field| !has(of, field)).map(ToString::to_string).collect::<Vec<_>>()
        };
        let check = |rule: Rule, holds: bool, why: &str| {
            assert_ne!(holds, is_exception(&name, rule), "{name}: {rule:?}: {why}");
        };
        if is_write(&method) {
            let fields = missing(&["validate_only", "reason", "effective_time"], &asked);
            check(Rule::WritesHaveTheirFields, fields.is_empty(), &format!("{fields:?} are missing"));
        } else {
            check(Rule::ReadsNameTheirState, reads, "min_revision is missing");
            check(Rule::ReadsReachBack, has(&asked, "at_revision"), "at_revision is missing");
        }
        // An entity says its own revision (AIP-131: a Get answers the resource itself).
        if reads {
            check(Rule::AnswersHaveTheirRevision, has(&answered, "revision"), "revision is missing");
        }
    }
}

#[test]
fn what_holds_an_id_ends_in_id_and_a_message_never_does() {
    let entities = EntityType::ALL.map(EntityType::name);
    let pool = methods()[0].parent_pool().clone();
    for message in pool.all_messages().filter(|message| message.package_name() == "cqar.v1") {
        // The keys and the values of a map are named by the field that has it.
        for field in message.fields().filter(|_| !message.is_map_entry()) {
            let (name, place) = (field.name(), field.full_name());
            // The values of a map are what its field is named by.
            let is_message = !field.is_map() && message_of(&field).is_some();
            assert!(!(is_message && (name.ends_with("_id") || name.ends_with("_ids"))), "{place} is a message");
            let of_entity = |name: &str| entities.iter().any(|it| *it == name || format!("{it}s") == name);
            assert!(is_message || !of_entity(name), "{place} holds an id, and is not called so");
            assert!(name != "id" || has(&message, "etag"), "{place}: of what?");
            let is_time = message_of(&field).is_some_and(|it| it.full_name() == "google.protobuf.Timestamp");
            assert!(
                !is_time || name.ends_with("_time") || name.ends_with("_times") || matches!(name, "as_of" | "live_at"),
                "{place} is a time"
            );
        }
    }
}

/// They are encoded once, by one type for all of them.
#[test]
fn the_answers_of_resolving_methods_have_their_fields_alike() {
    let tag = |of: &MessageDescriptor, field: &str| of.get_field_by_name(field).map(|it| it.number());
    let of_message = |of: &MessageDescriptor, field: &str| message_of(&of.get_field_by_name(field).unwrap()).unwrap();
    let is_batch = |method: &MethodDescriptor| method.name().starts_with("BatchResolve");
    let (batches, others): (Vec<_>, Vec<_>) =
        methods().into_iter().filter(|it| is_batch(it) || it.name().starts_with("Resolve")).partition(is_batch);
    assert!(batches.len() == others.len() && others.len() > 1);
    for (batch, alone) in batches.iter().map(answered).zip(others.iter().map(answered)) {
        assert_eq!(tag(&alone, "revision"), Some(9), "{}", alone.name());
        assert_eq!([tag(&batch, "results"), tag(&batch, "revision")], [Some(1), Some(2)], "{}", batch.name());
        let result = of_message(&batch, "results");
        assert_eq!([tag(&result, "resolved"), tag(&result, "error")], [Some(1), Some(2)], "{}", batch.name());
        assert_eq!(of_message(&result, "resolved"), alone);
    }
}

/// A server, and what cases begin with.
struct Fixture {
    server: Server,
    /// Ends with the fixture, and no sooner.
    _environment: TestEnvironment,
    small: SampleRegistry,
    cases: u32,
}

impl Fixture {
    async fn new(environment: TestEnvironment) -> Self {
        let options = environment.options();
        let open = options.clone().start().await;
        let small = SampleRegistry::write(&mut Clients::of(&open).await).await;
        drop(open);
        let options =
            options.with("AUTH_API_KEYS", format!("{KEY}:{ACTOR}")).with("SERVER_MIN_REVISION_TIMEOUT", "100ms");
        Self { server: options.start().await, _environment: environment, small, cases: 0 }
    }

    fn method(path: &str) -> MethodDescriptor {
        methods().into_iter().find(|method| name(method) == path).unwrap()
    }

    /// A call that succeeds, with everything before it done.
    async fn call_of(&mut self, case: &Case) -> Call {
        self.cases += 1;
        let replace = |text: &str, with: &[(String, String)]| {
            with.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let SampleRegistry { btc, usdt, spot, perpetual, kraken, .. } = self.small.clone();
        let known =
            [("{btc}", btc), ("{usdt}", usdt), ("{spot}", spot), ("{perpetual}", perpetual), ("{kraken}", kraken)];
        let mut known: Vec<(String, String)> = known.into_iter().map(|(from, to)| (from.to_owned(), to)).collect();
        known.push(("{n}".to_owned(), self.cases.to_string()));
        let prepare: Value = serde_json::from_str(&replace(&case.prepare.to_string(), &known)).unwrap();
        if prepare.as_array().is_some_and(|mutations| !mutations.is_empty()) {
            let apply = Call { asked: json!({ "mutations": prepare }), payload: &[] };
            let applied = self.succeeds(&Self::method("RegistryService/Apply"), &apply).await;
            for (n, result) in applied["results"].as_array().unwrap().iter().enumerate() {
                let entity = result.as_object().unwrap().values().next().unwrap();
                known.push((format!("{{{n}}}"), entity["id"].as_str().unwrap().to_owned()));
            }
        }
        let asked = serde_json::from_str(&replace(&case.asked.to_string(), &known)).unwrap();
        Call { asked, payload: LISTING }
    }

    async fn answers(&self, method: &MethodDescriptor, asked: &Call) -> Vec<Value> {
        let answers = call(&self.server, method, asked, Some(KEY)).await;
        let answers = answers.unwrap_or_else(|status| panic!("{}: {status:?}", name(method)));
        answers.iter().map(as_json).collect()
    }

    /// The one answer, or the last of a stream.
    async fn succeeds(&self, method: &MethodDescriptor, asked: &Call) -> Value {
        self.answers(method, asked).await.pop().unwrap()
    }

    /// Why it is refused. Every refusal carries its reason.
    async fn refused(&self, method: &MethodDescriptor, asked: &Call, key: Option<&str>) -> Status {
        let status = match call(&self.server, method, asked, key).await {
            Err(status) => status,
            Ok(answers) => panic!("{} answered {answers:?}", name(method)),
        };
        let info = status.get_details_error_info().unwrap_or_else(|| panic!("{}: {status:?}", name(method)));
        assert_eq!(info.domain, "cqar");
        let known = cqar_proto::v1::ErrorReason::from_str_name(&info.reason);
        assert!(known.is_some(), "{} is no published reason", info.reason);
        status
    }

    async fn revision(&self) -> i64 {
        let asked = Call { asked: json!({}), payload: &[] };
        let status = self.succeeds(&Self::method("RegistryService/GetStatus"), &asked).await;
        status["revision"].as_str().map_or(0, |revision| revision.parse().unwrap())
    }

    /// The events of a revision.
    async fn events(&self, revision: i64) -> Vec<Event> {
        let request = WatchRequest { start_revision: Some(revision), ..WatchRequest::default() };
        let mut request = Request::new(request);
        request.metadata_mut().insert("x-api-key", KEY.parse().unwrap());
        let mut watched =
            EventServiceClient::new(self.server.channel().await).watch(request).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Some(response) = watched.next().await {
            match response.unwrap().step.unwrap() {
                Step::Event(event) => events.push(event),
                Step::Progress(through) if through >= revision => break,
                Step::Progress(_) => {}
            }
        }
        events.into_iter().filter(|event| event.revision == revision).collect()
    }
}

fn as_json(message: &DynamicMessage) -> Value {
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

/// A field of what is asked for, as a refusal names it.
fn field_of(method: &MethodDescriptor, field: &str) -> String {
    if method.is_client_streaming() { format!("options.{field}") } else { field.to_owned() }
}

fn kept_of(answers: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = answers.iter().filter(|answer| answer.get("progress").is_none()).cloned().collect();
    if let Some(summary) = kept.last_mut().and_then(|last| last.get_mut("summary")) {
        summary["replayed"] = Value::Bool(true);
    }
    kept
}

cqar_tests::in_both_environments! {
    every_method_wants_a_key_that_is_known
    a_try_stores_nothing
    a_repetition_gets_the_first_answer_and_a_reused_id_none
    a_stale_etag_is_refused
    a_state_that_is_not_there_yet_is_waited_for_in_vain
    what_is_not_built_yet_is_refused_and_never_ignored
    every_write_is_found_in_the_log_with_its_actor_and_its_reason
    a_page_has_a_size_and_a_token_of_its_own_list
    every_answer_says_of_which_revision_it_is
}

async fn every_method_wants_a_key_that_is_known(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases() {
        let (method, asked) = (Fixture::method(case.method), fixture.call_of(&case).await);
        for (key, expected) in [(None, "API_KEY_MISSING"), (Some("a-key-of-nobody"), "API_KEY_UNKNOWN")] {
            let refused = fixture.refused(&method, &asked, key).await;
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::Unauthenticated, expected),
                "{}",
                case.method
            );
        }
        fixture.succeeds(&method, &asked).await;
    }
}

async fn a_try_stores_nothing(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases().into_iter().filter(|case| has(&asked(&Fixture::method(case.method)), "validate_only")) {
        let (method, asked) = (Fixture::method(case.method), fixture.call_of(&case).await);
        let before = fixture.revision().await;
        fixture.succeeds(&method, &asked.with("/validate_only", true)).await;
        assert_eq!(fixture.revision().await, before, "{}", case.method);
        fixture.succeeds(&method, &asked).await;
        assert_eq!(fixture.revision().await, before + 1, "{} changes nothing", case.method);
    }
}

async fn a_repetition_gets_the_first_answer_and_a_reused_id_none(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases().into_iter().filter(|case| is_write(&Fixture::method(case.method))) {
        let method = Fixture::method(case.method);
        let asked = fixture.call_of(&case).await.with("/request_id", Uuid::now_v7().to_string());
        let first = fixture.answers(&method, &asked).await;
        let revision = fixture.revision().await;
        let again = fixture.answers(&method, &asked).await;
        assert_eq!(again, kept_of(&first), "{}", case.method);
        assert_eq!(fixture.revision().await, revision, "{}", case.method);
        let reused = fixture.refused(&method, &asked.with("/reason", "another"), Some(KEY)).await;
        let expected = (Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_eq!((reused.code(), reason(&reused).as_str()), expected, "{}", case.method);
        let malformed = fixture.refused(&method, &asked.with("/request_id", "7"), Some(KEY)).await;
        let expected = [(field_of(&method, "request_id"), "INVALID".to_owned())];
        assert_eq!(wrong_fields(&malformed), expected, "{}", case.method);
    }
}

async fn a_stale_etag_is_refused(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases() {
        let method = Fixture::method(case.method);
        let Some(pointer) = etag_pointer(&method) else { continue };
        let asked = fixture.call_of(&case).await;
        let refused = fixture.refused(&method, &asked.with(&pointer, "r0"), Some(KEY)).await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "STALE_ETAG"), "{}", case.method);
        let current = refused.get_details_error_info().unwrap().metadata["current_etag"].clone();
        fixture.succeeds(&method, &asked.with(&pointer, current)).await;
    }
}

async fn a_state_that_is_not_there_yet_is_waited_for_in_vain(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases().into_iter().filter(|case| has(&asked(&Fixture::method(case.method)), "min_revision")) {
        let (method, asked) = (Fixture::method(case.method), fixture.call_of(&case).await);
        let refused = fixture.refused(&method, &asked.with("/min_revision", FUTURE.to_string()), Some(KEY)).await;
        let expected = (Code::Unavailable, "REVISION_NOT_REACHED");
        assert_eq!((refused.code(), reason(&refused).as_str()), expected, "{}", case.method);
        assert!(refused.get_details_retry_info().is_some(), "{}: no RetryInfo", case.method);
        let negative = fixture.refused(&method, &asked.with("/min_revision", "-1"), Some(KEY)).await;
        assert_eq!(wrong_fields(&negative), [("min_revision".into(), "NEGATIVE".into())], "{}", case.method);
        let present = fixture.revision().await.to_string();
        fixture.succeeds(&method, &asked.with("/min_revision", present)).await;
    }
}

async fn what_is_not_built_yet_is_refused_and_never_ignored(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases() {
        let method = Fixture::method(case.method);
        for field in ["at_revision", "effective_time", "mutations/0/effective_time"] {
            let (parent, name) = field.rsplit_once("/0/").map_or((None, field), |(list, name)| (Some(list), name));
            let of_item = |list: &str| asked(&method).get_field_by_name(list).and_then(|field| message_of(&field));
            let Some(place) = parent.map_or_else(|| Some(asked(&method)), of_item) else { continue };
            if !has(&place, name) {
                continue;
            }
            let value = if name == "at_revision" { json!("1") } else { json!("2026-01-01T00:00:00Z") };
            let asked = fixture.call_of(&case).await.with(&format!("/{field}"), value);
            let before = fixture.revision().await;
            let refused = fixture.refused(&method, &asked, Some(KEY)).await;
            let expected = (Code::Unimplemented, "FIELD_NOT_SUPPORTED");
            assert_eq!((refused.code(), reason(&refused).as_str()), expected, "{}", case.method);
            let named = field.replace("/0/", "[0].");
            assert_eq!(refused.get_details_error_info().unwrap().metadata["field"], named, "{}", case.method);
            assert_eq!(fixture.revision().await, before, "{}", case.method);
        }
    }
}

async fn every_write_is_found_in_the_log_with_its_actor_and_its_reason(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases().into_iter().filter(|case| is_write(&Fixture::method(case.method))) {
        let method = Fixture::method(case.method);
        let (id, why) = (Uuid::now_v7().to_string(), format!("why {} is called", case.method));
        let asked = fixture.call_of(&case).await.with("/request_id", id.clone()).with("/reason", why.clone());
        fixture.succeeds(&method, &asked).await;
        let events = fixture.events(fixture.revision().await).await;
        assert!(!events.is_empty(), "{} is not in the log", case.method);
        for event in events {
            let said = (event.actor.as_str(), event.request_id.as_str(), event.reason.as_str());
            assert_eq!(said, (ACTOR, id.as_str(), why.as_str()), "{}", case.method);
            assert!(event.commit_time.is_some(), "{}", case.method);
        }
        let long = asked.with("/request_id", "").with("/reason", "x".repeat(1001));
        let refused = fixture.refused(&method, &long, Some(KEY)).await;
        assert_eq!(wrong_fields(&refused)[0].0, field_of(&method, "reason"), "{}", case.method);
    }
}

async fn a_page_has_a_size_and_a_token_of_its_own_list(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    let mut before: Option<String> = None;
    for case in cases().into_iter().filter(|case| has(&asked(&Fixture::method(case.method)), "page_token")) {
        let (method, asked) = (Fixture::method(case.method), fixture.call_of(&case).await);
        if let Some(token) = before {
            let refused = fixture.refused(&method, &asked.with("/page_token", token), Some(KEY)).await;
            assert_eq!(wrong_fields(&refused), [("page_token".into(), "FOREIGN_TOKEN".into())], "{}", case.method);
        }
        for (pointer, value, code) in
            [("/page_size", json!(-1), "NEGATIVE"), ("/page_token", json!("AAAAAAAAAAAA"), "FOREIGN_TOKEN")]
        {
            let refused = fixture.refused(&method, &asked.with(pointer, value), Some(KEY)).await;
            assert_eq!(wrong_fields(&refused), [(pointer[1..].to_owned(), code.to_owned())], "{}", case.method);
        }
        let whole = fixture.succeeds(&method, &asked).await;
        let first = fixture.succeeds(&method, &asked.with("/page_size", 1)).await;
        // What is listed is the first field of the answer.
        let listed = answered(&method).get_field(1).unwrap().name().to_owned();
        let items = |page: &Value| page[&listed].as_array().cloned().unwrap_or_default();
        assert_eq!(items(&first), items(&whole).into_iter().take(1).collect::<Vec<_>>(), "{}", case.method);
        let token = first["next_page_token"].as_str().unwrap_or_else(|| panic!("{} has one item", case.method));
        let second = fixture.succeeds(&method, &asked.with("/page_size", 1).with("/page_token", token)).await;
        assert_eq!(items(&second)[0], items(&whole)[1], "{}", case.method);
        before = Some(token.to_owned());
    }
}

async fn every_answer_says_of_which_revision_it_is(s: TestEnvironment) {
    let mut fixture = Fixture::new(s).await;
    for case in cases().into_iter().filter(|case| has(&answered(&Fixture::method(case.method)), "revision")) {
        let (method, asked) = (Fixture::method(case.method), fixture.call_of(&case).await);
        let before = fixture.revision().await;
        let answer = fixture.succeeds(&method, &asked).await;
        let of = answer.get("summary").unwrap_or(&answer);
        let revision: i64 = of["revision"].as_str().map_or(0, |revision| revision.parse().unwrap());
        let is_entity = has(&answered(&method), "etag");
        assert!((1..=before + 1).contains(&revision) && (is_entity || revision >= before), "{}: {answer}", case.method);
    }
}
