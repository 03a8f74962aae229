use std::time::Duration;

use cqar_proto::DESCRIPTORS;
use http::{HeaderName, HeaderValue};
use tonic::Code;
use tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET as REFLECTION_DESCRIPTORS;
use tonic_types::StatusExt as _;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::metrics::Methods;

const GET: &str = "/cqar.v1.AssetService/GetAsset";
const WATCH: &str = "/cqar.v1.EventService/Watch";

fn caller(name: &str, key: &str) -> Caller {
    Caller {
        name: name.to_owned(),
        credential: Credential::of_key(key.as_bytes()),
        grants: Grant::all(),
        expires: None,
        limits: CallerLimits::default(),
    }
}

fn rules(callers: Vec<Caller>) -> AuthLayer {
    AuthLayer {
        callers: Callers::new(callers),
        reflection_requires_key: true,
        refusals: Refusals::register(&prometheus::Registry::new()).unwrap(),
    }
}

fn two() -> AuthLayer {
    rules(vec![caller("desk-1", "sesame"), caller("desk-2", "open")])
}

fn request(path: &str, header: Option<(&'static str, &'static str)>) -> Request<()> {
    let methods = Methods::new(&[DESCRIPTORS, REFLECTION_DESCRIPTORS], &prometheus::Registry::new()).unwrap();
    let mut request = Request::builder().uri(path).body(()).unwrap();
    request.extensions_mut().insert(Arc::clone(methods.get(path)));
    if let Some((name, value)) = header {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

/// With a client certificate of these names.
fn certified(mut request: Request<()>, names: &[&str]) -> Request<()> {
    let names = names.iter().map(|name| Arc::from(*name)).collect();
    request.extensions_mut().insert(Arc::new(Peer::named(names)));
    request
}

/// Who is let through, or the reason why not.
fn admitted(rules: &AuthLayer, request: &Request<()>) -> Result<String, String> {
    let reason = |refusal| rules.refusals.refuse(refusal, None).get_details_error_info().unwrap().reason;
    let admitted = rules.admit(request).map_err(reason)?;
    Ok(admitted.map_or_else(|| ANONYMOUS.to_owned(), |(actor, _)| actor.name().to_owned()))
}

#[test]
fn a_key_says_who_calls_in_either_header() {
    for (name, value, actor) in [
        ("authorization", "Bearer sesame", "desk-1"),
        ("authorization", "bearer  open ", "desk-2"),
        ("x-api-key", "open", "desk-2"),
    ] {
        assert_eq!(admitted(&two(), &request(GET, Some((name, value)))), Ok(actor.to_owned()), "{name}: {value}");
    }
}

#[test]
fn a_wrong_key_and_no_key_are_told_apart() {
    for (header, expected) in [
        (Some(("authorization", "Bearer sesam")), "API_KEY_UNKNOWN"),
        (Some(("authorization", "Bearer ")), "API_KEY_UNKNOWN"),
        (Some(("x-api-key", "")), "API_KEY_UNKNOWN"),
        (Some(("authorization", "Basic sesame")), "API_KEY_MISSING"),
        (None, "API_KEY_MISSING"),
    ] {
        assert_eq!(admitted(&two(), &request(GET, header)), Err(expected.to_owned()), "{header:?}");
    }
}

#[test]
fn keys_that_are_replaced_are_unknown_at_once_and_their_calls_go_on_counting() {
    let limits = CallerLimits { streams: 1, ..CallerLimits::default() };
    let rules = rules(vec![Caller { limits, ..caller("desk-1", "sesame") }]);
    let stream = rules.admit(&request(WATCH, Some(("x-api-key", "sesame")))).unwrap();
    rules.callers.replace(vec![Caller { limits, ..caller("desk-1", "new") }, caller("desk-2", "open")]);
    let with = |key| request(WATCH, Some(("x-api-key", key)));
    assert_eq!(admitted(&rules, &with("sesame")), Err("API_KEY_UNKNOWN".to_owned()));
    assert_eq!(admitted(&rules, &with("new")), Err("CALLER_LIMIT".to_owned()));
    assert_eq!(admitted(&rules, &with("open")), Ok("desk-2".to_owned()));
    drop(stream);
    assert_eq!(admitted(&rules, &with("new")), Ok("desk-1".to_owned()));
}

#[test]
fn a_key_that_has_expired_is_told_so() {
    let at = |expires| Caller { expires: Some(expires), ..caller("desk-1", "sesame") };
    let (hour, now) = (Duration::from_hours(1), SystemTime::now());
    let rules = rules(vec![at(now - hour)]);
    let request = request(GET, Some(("x-api-key", "sesame")));
    assert_eq!(admitted(&rules, &request), Err("API_KEY_EXPIRED".to_owned()));
    rules.callers.replace(vec![at(now + hour)]);
    assert_eq!(admitted(&rules, &request), Ok("desk-1".to_owned()));
}

#[test]
fn a_certificate_says_who_calls_where_no_key_does() {
    let spiffe = "spiffe://desk/gateway";
    let by_certificate = Caller { credential: Credential::Certificate(spiffe.to_owned()), ..caller("gateway", "") };
    let rules = rules(vec![by_certificate, caller("desk-1", "sesame")]);
    for (header, names, expected) in [
        (None, &["gateway.desk", spiffe][..], Ok("gateway")),
        (None, &["spiffe://desk/gateway2"], Err("CERTIFICATE_UNKNOWN")),
        (None, &[], Err("API_KEY_MISSING")),
        (Some(("x-api-key", "sesame")), &[spiffe], Ok("desk-1")),
        (Some(("x-api-key", "wrong")), &[spiffe], Err("API_KEY_UNKNOWN")),
        // What a proxy says of its clients is not believed.
        (Some(("x-forwarded-client-cert", "URI=spiffe://desk/gateway")), &[], Err("API_KEY_MISSING")),
    ] {
        let expected = expected.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
        assert_eq!(admitted(&rules, &certified(request(GET, header), names)), expected, "{header:?} {names:?}");
    }
}

#[test]
fn only_probes_pass_without_a_key_and_reflection_if_it_may() {
    let lax = AuthLayer { reflection_requires_key: false, ..two() };
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for (rules, path, passes) in [
        (&two(), reflection, false),
        (&lax, reflection, true),
        (&lax, GET, false),
        (&lax, "/nonsense", false),
        (&lax, "/grpc.health.v1.HealthX/Check", false),
    ] {
        assert_eq!(admitted(rules, &request(path, None)).is_ok(), passes, "{path}");
    }
}

#[test]
fn a_scope_is_needed_for_the_service_and_none_includes_another() {
    let with = |grants: &[&str]| {
        let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        rules(vec![Caller { grants, ..caller("desk-1", "sesame") }])
    };
    let create = "/cqar.v1.AssetService/CreateAsset";
    for (grants, path, passes) in [
        (&["read"][..], GET, true),
        (&["read"], create, false),
        (&["write"], GET, false),
        (&["write", "admin"], create, true),
        (&["write:MarketService"], create, false),
        (&["write:AssetService"], create, true),
        (&[], GET, false),
    ] {
        let admitted = admitted(&with(grants), &request(path, Some(("x-api-key", "sesame"))));
        assert_eq!(admitted.is_ok(), passes, "{grants:?} {path}");
        assert!(passes || admitted == Err("SCOPE_MISSING".to_owned()));
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let shown = format!("{:?} {:?}", two(), caller("desk-3", "secret"));
    assert!(shown.contains(r#"["desk-1", "desk-2"]"#) && !shown.contains("sesame") && !shown.contains("secret"));
}

#[tokio::test]
async fn the_actor_goes_with_the_request_and_a_stream_keeps_its_place() {
    let rules = two();
    let inner = service_fn(async |request: Request<()>| {
        let mut response = Response::new(Body::empty());
        let actor = request.extensions().get::<Actor>().map_or(ANONYMOUS, Actor::name);
        response.headers_mut().insert("actor", HeaderValue::from_str(actor).unwrap());
        Ok::<_, std::convert::Infallible>(response)
    });
    let mut service = rules.layer(inner);
    let key = Some(("x-api-key", "sesame"));
    let response = service.ready().await.unwrap().call(request(WATCH, key)).await.unwrap();
    assert_eq!(response.headers()["actor"], "desk-1");
    assert!(response.extensions().get::<StreamPermit>().is_some());
    let response = service.call(request(GET, key)).await.unwrap();
    assert!(response.extensions().get::<StreamPermit>().is_none());
    let refused = service.call(request(GET, None)).await.unwrap();
    assert_eq!(Status::from_header_map(refused.headers()).unwrap().code(), Code::Unauthenticated);
    rules.callers.replace(Vec::new());
    assert_eq!(service.call(request(GET, None)).await.unwrap().headers()["actor"], ANONYMOUS);
}
