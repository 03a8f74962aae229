//! Venue assets: what a venue knows by a code, and by which networks it moves.

use cqar_proto::v1::{
    Asset, BatchResolveVenueAssetsRequest, Deployment, Finding, ListVenueAssetsRequest, ListVenuesRequest,
    ResolveVenueAssetRequest, ResolveVenueAssetResponse, Venue, VenueAsset, VenueAssetNetwork,
    batch_resolve_venue_assets_request::Item, batch_resolve_venue_assets_response, entity_key::Key,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, asset, chain, create, delete, deployment, ids, mutation, named, preconditions, reason, says,
        status_of, update, venue, venue_asset, wrong_fields,
    },
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    a_code_means_what_is_bound_in_the_segment_else_in_all
    networks_are_told_with_chain_and_deployment
    what_a_network_is_not_known_to_be_is_a_warning_and_never_a_guess
    answers_follow_what_they_are_made_of
    a_deployment_on_another_chain_than_the_network_is_not_answered
    networks_are_checked_field_by_field
    what_a_network_refers_to_is_not_deleted
    a_batch_says_what_became_of_each
    lists_find_the_assets_of_a_venue_and_the_venues_of_an_asset
}

const USDT: &str = "0xdac17f958d2ee523a2206206994597c13d831ec7";
const TRON_USDT: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";

/// Two assets, two chains, an exchange that calls them `ERC20` and `TRX`, and what the first asset is there.
struct Exchange {
    usdt: String,
    other: String,
    on_ethereum: String,
    on_tron: String,
}

impl Exchange {
    async fn write(clients: &mut Clients) -> Self {
        let codes = [("ERC20", "ethereum"), ("TRX", "tron")].map(|(code, chain)| (code.to_owned(), chain.to_owned()));
        let mutations = vec![
            named("usdt", create(asset("USDT"))),
            named("other", create(asset("OTHER"))),
            mutation(create(chain("ethereum", "eip155:1"))),
            mutation(create(chain("tron", "tron:728126428"))),
            mutation(create(Venue { network_chain_ids: codes.into(), ..venue("okx") })),
            mutation(create(deployment("ethereum", USDT, "$usdt"))),
            mutation(create(deployment("tron", TRON_USDT, "$usdt"))),
        ];
        let made = ids(&clients.apply(mutations).await.unwrap());
        Self { usdt: made[0].clone(), other: made[1].clone(), on_ethereum: made[5].clone(), on_tron: made[6].clone() }
    }

    fn bound(&self, segment: &str, code: &str, networks: &[VenueAssetNetwork]) -> VenueAsset {
        VenueAsset { segment: segment.into(), networks: networks.into(), ..venue_asset("okx", code, &self.usdt) }
    }
}

fn network(code: &str) -> VenueAssetNetwork {
    VenueAssetNetwork { network: code.into(), ..VenueAssetNetwork::default() }
}

async fn resolve(
    clients: &mut Clients,
    code: &str,
    segment: Option<&str>,
    network: &str,
) -> Result<ResolveVenueAssetResponse, Status> {
    let request = ResolveVenueAssetRequest {
        venue_id: "okx".into(),
        code: code.into(),
        segment: segment.map(str::to_owned),
        network: network.into(),
        ..ResolveVenueAssetRequest::default()
    };
    clients.venues.resolve_venue_asset(request).await.map(tonic::Response::into_inner)
}

async fn made(clients: &mut Clients, new: VenueAsset) -> Result<VenueAsset, Status> {
    VenueAsset::create(clients, new, Write::default()).await.map(|made| made.value)
}

fn warned(warnings: &[Finding]) -> Vec<(&str, &str)> {
    warnings.iter().map(|it| (it.path.as_str(), it.code.as_str())).collect()
}

async fn a_code_means_what_is_bound_in_the_segment_else_in_all(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let unknown = resolve(&mut clients, "USDT", None, "").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "VENUE_ASSET_UNKNOWN"));
    let everywhere = made(&mut clients, exchange.bound("", "USDT", &[])).await.unwrap();
    for segment in [None, Some(""), Some("spot"), Some("swap")] {
        let found = resolve(&mut clients, "USDT", segment, "").await.unwrap();
        assert_eq!((found.venue_asset.as_ref(), found.asset.unwrap().id), (Some(&everywhere), exchange.usdt.clone()));
        assert_eq!(found.venue.unwrap().id, "okx");
    }
    let narrow = VenueAsset { asset_id: exchange.other.clone(), ..exchange.bound("swap", "USDT", &[]) };
    let narrow = made(&mut clients, narrow).await.unwrap();
    for (segment, expected) in [(Some("swap"), &narrow), (Some("spot"), &everywhere), (Some(""), &everywhere)] {
        assert_eq!(resolve(&mut clients, "USDT", segment, "").await.unwrap().venue_asset.as_ref(), Some(expected));
    }
    let ambiguous = resolve(&mut clients, "USDT", None, "").await.unwrap_err();
    assert_eq!((ambiguous.code(), reason(&ambiguous).as_str()), (Code::FailedPrecondition, "AMBIGUOUS_VENUE_ASSET"));
    let mut named: Vec<String> = preconditions(&ambiguous).into_iter().map(|(id, _)| id).collect();
    named.sort();
    let mut both = vec![everywhere.id.clone(), narrow.id.clone()];
    both.sort();
    assert_eq!(named, both);
    // Case counts, and what is gone means nothing.
    assert_eq!(reason(&resolve(&mut clients, "usdt", None, "").await.unwrap_err()), "VENUE_ASSET_UNKNOWN");
    VenueAsset::delete(&mut clients, &everywhere.id, "", Write::default()).await.unwrap();
    assert_eq!(resolve(&mut clients, "USDT", None, "").await.unwrap().venue_asset, Some(narrow));
    assert_eq!(reason(&resolve(&mut clients, "USDT", Some("spot"), "").await.unwrap_err()), "VENUE_ASSET_UNKNOWN");
    let request = ResolveVenueAssetRequest { venue_id: "okx".into(), code: "USDT".into(), ..Default::default() };
    let long = "x".repeat(65);
    for (wrong, field, code) in [
        (ResolveVenueAssetRequest { code: String::new(), ..request.clone() }, "code", "REQUIRED"),
        (ResolveVenueAssetRequest { code: long.clone(), ..request.clone() }, "code", "TOO_LONG"),
        (ResolveVenueAssetRequest { venue_id: "No Venue".into(), ..request.clone() }, "venue_id", "INVALID"),
        (ResolveVenueAssetRequest { segment: Some("No Segment".into()), ..request.clone() }, "segment", "INVALID"),
        (ResolveVenueAssetRequest { network: long, ..request.clone() }, "network", "TOO_LONG"),
    ] {
        let refused = clients.venues.resolve_venue_asset(wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), code.into())]);
    }
    let request = ResolveVenueAssetRequest { venue_id: "nowhere".into(), code: "USDT".into(), ..Default::default() };
    let refused = clients.venues.resolve_venue_asset(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
}

async fn networks_are_told_with_chain_and_deployment(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let by_address = VenueAssetNetwork {
        // As the venue spells it.
        contract_address: "0xdAC17F958D2ee523a2206206994597C13D831ec7".into(),
        is_deposit_enabled: Some(true),
        is_withdraw_enabled: Some(false),
        withdraw_fee: "1.50".into(),
        min_withdraw: "10".into(),
        min_deposit: "0.01".into(),
        confirmations: Some(12),
        is_memo_required: Some(false),
        ..network("ERC20")
    };
    let by_deployment = VenueAssetNetwork { deployment_id: exchange.on_tron.clone(), ..network("TRX") };
    made(&mut clients, exchange.bound("", "USDT", &[by_address, by_deployment])).await.unwrap();
    let found = resolve(&mut clients, "USDT", None, "").await.unwrap();
    assert_eq!(warned(&found.warnings), []);
    let told: Vec<_> = found
        .networks
        .iter()
        .map(|it| {
            (
                it.network.as_ref().unwrap().network.as_str(),
                it.caip2.as_str(),
                it.deployment.as_ref().unwrap().id.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("ERC20", "eip155:1", exchange.on_ethereum.as_str()), ("TRX", "tron:728126428", exchange.on_tron.as_str())]
    );
    let ethereum = found.networks[0].network.clone().unwrap();
    assert_eq!((ethereum.is_deposit_enabled, ethereum.is_withdraw_enabled), (Some(true), Some(false)));
    assert_eq!((ethereum.withdraw_fee.as_str(), ethereum.confirmations), ("1.5", Some(12)));
    let tron = found.networks[1].network.clone().unwrap();
    assert_eq!(
        (tron.is_deposit_enabled, tron.confirmations),
        (None, None),
        "what the venue does not say is not made up"
    );
    let one = resolve(&mut clients, "USDT", Some("spot"), "TRX").await.unwrap();
    assert_eq!(one.networks, [found.networks[1].clone()]);
    let refused = resolve(&mut clients, "USDT", None, "trx").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NETWORK_UNKNOWN"));
    assert_eq!(says(&refused, "networks").as_deref(), Some("ERC20, TRX"));
}

async fn what_a_network_is_not_known_to_be_is_a_warning_and_never_a_guess(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let at = |code: &str, address: &str| VenueAssetNetwork { contract_address: address.into(), ..network(code) };
    let mapped = VenueAssetNetwork { chain_id: "tron".into(), ..network("TRC") };
    let others = "0x1111111111111111111111111111111111111111";
    let other = deployment("ethereum", others, &exchange.other);
    Deployment::create(&mut clients, other, Write::default()).await.unwrap();
    for (said, chain, warnings) in [
        (network("BASE"), "", vec!["NETWORK_NOT_MAPPED"]),
        (at("BASE", USDT), "", vec!["NETWORK_NOT_MAPPED"]),
        (at("ERC20", "0x2222222222222222222222222222222222222222"), "ethereum", vec!["DEPLOYMENT_UNKNOWN"]),
        (at("ERC20", "no address"), "ethereum", vec!["INVALID_ADDRESS"]),
        (at("ERC20", others), "ethereum", vec!["OTHER_ASSET"]),
        (
            VenueAssetNetwork { deployment_id: exchange.on_ethereum.clone(), ..at("ERC20", others) },
            "ethereum",
            vec!["OTHER_ADDRESS"],
        ),
        (mapped, "tron", vec!["DEPLOYMENT_NOT_SAID"]),
        // The asset has a deployment there, and the venue does not say that it means that.
        (network("ERC20"), "ethereum", vec!["DEPLOYMENT_NOT_SAID"]),
    ] {
        let bound = made(&mut clients, exchange.bound("", "USDT", std::slice::from_ref(&said))).await.unwrap();
        let found = resolve(&mut clients, "USDT", None, "").await.unwrap();
        let expected: Vec<(&str, &str)> = warnings.into_iter().map(|code| ("networks[0]", code)).collect();
        assert_eq!(warned(&found.warnings), expected, "{said:?}");
        assert_eq!((found.networks[0].chain_id.as_str(), &found.networks[0].deployment), (chain, &None), "{said:?}");
        VenueAsset::delete(&mut clients, &bound.id, "", Write::default()).await.unwrap();
    }
}

async fn answers_follow_what_they_are_made_of(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let late = "0x3333333333333333333333333333333333333333";
    let said = VenueAssetNetwork { contract_address: late.into(), ..network("ETH") };
    let bound = made(&mut clients, exchange.bound("", "USDT", &[said])).await.unwrap();
    let told = async |clients: &mut Clients| {
        let found = resolve(clients, "USDT", None, "").await.unwrap();
        let codes: Vec<String> = found.warnings.iter().map(|it| it.code.clone()).collect();
        (codes.join(" "), found.networks[0].deployment.clone().map(|it| it.id).unwrap_or_default())
    };
    assert_eq!(told(&mut clients).await, ("NETWORK_NOT_MAPPED".into(), String::new()));
    let codes = [("ETH".to_owned(), "ethereum".to_owned())].into();
    let mapped = Venue { id: "okx".into(), network_chain_ids: codes, ..Venue::default() };
    clients.apply(vec![mutation(update(mapped))]).await.unwrap();
    assert_eq!(told(&mut clients).await, ("DEPLOYMENT_UNKNOWN".into(), String::new()));
    let there = Deployment::create(&mut clients, deployment("ethereum", late, &exchange.usdt), Write::default()).await;
    let there = there.unwrap().value;
    assert_eq!(told(&mut clients).await, (String::new(), there.id.clone()));
    let renamed = Asset { id: exchange.usdt.clone(), name: "Tether".into(), ..Asset::default() };
    clients.apply(vec![mutation(update(renamed))]).await.unwrap();
    assert_eq!(resolve(&mut clients, "USDT", None, "").await.unwrap().asset.unwrap().name, "Tether");
    Deployment::delete(&mut clients, &there.id, "", Write::default()).await.unwrap();
    assert_eq!(told(&mut clients).await.0, "DEPLOYMENT_UNKNOWN");
    let quiet = VenueAsset { id: bound.id.clone(), is_trading_enabled: Some(false), ..VenueAsset::default() };
    clients.apply(vec![mutation(update(quiet))]).await.unwrap();
    let found = resolve(&mut clients, "USDT", None, "").await.unwrap().venue_asset.unwrap();
    assert_eq!(found.is_trading_enabled, Some(false));
    // A venue that is gone knows nothing.
    VenueAsset::delete(&mut clients, &bound.id, "", Write::default()).await.unwrap();
    clients.apply(vec![mutation(delete(Key::VenueId("okx".into())))]).await.unwrap();
    assert_eq!(reason(&resolve(&mut clients, "USDT", None, "").await.unwrap_err()), "ENTITY_NOT_FOUND");
}

async fn a_deployment_on_another_chain_than_the_network_is_not_answered(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let said = VenueAssetNetwork { deployment_id: exchange.on_ethereum.clone(), ..network("ERC20") };
    let bound = made(&mut clients, exchange.bound("", "USDT", std::slice::from_ref(&said))).await.unwrap();
    let codes = [("ERC20".to_owned(), "tron".to_owned())].into();
    let moved = Venue { id: "okx".into(), network_chain_ids: codes, ..Venue::default() };
    Venue::update(&mut clients, moved, &["network_chain_ids"], Write::default()).await.unwrap();
    let found = resolve(&mut clients, "USDT", None, "").await.unwrap();
    assert_eq!(warned(&found.warnings), [("networks[0]", "OTHER_CHAIN")]);
    assert_eq!((found.networks[0].chain_id.as_str(), &found.networks[0].deployment), ("tron", &None));
    // What was said before does not stop other changes; it is refused when it is said anew.
    let quiet = VenueAsset { id: bound.id.clone(), is_trading_enabled: Some(false), ..VenueAsset::default() };
    clients.apply(vec![mutation(update(quiet))]).await.unwrap();
    let anew = VenueAssetNetwork { confirmations: Some(7), ..said };
    let anew = VenueAsset { id: bound.id, networks: vec![anew], ..VenueAsset::default() };
    let refused = VenueAsset::update(&mut clients, anew, &["networks"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("venue_asset.networks[0].deployment_id".into(), "OTHER_CHAIN".into())]);
}

async fn networks_are_checked_field_by_field(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let with = |networks: &[VenueAssetNetwork]| exchange.bound("", "USDT", networks);
    let many: Vec<VenueAssetNetwork> = (0..65).map(|n| network(&format!("N{n}"))).collect();
    let time = |text: &str| Some(cqar_tests::fixtures::time(text));
    let (early, late) = (time("2020-01-01T00:00:00Z"), time("2021-01-01T00:00:00Z"));
    for (wrong, field, code) in [
        (with(&[network("")]), "networks[0].network", "REQUIRED"),
        (with(&[network("TRX"), network("TRX")]), "networks[1].network", "DUPLICATE"),
        (with(&many), "networks", "TOO_MANY"),
        (
            with(&[VenueAssetNetwork { withdraw_fee: "-1".into(), ..network("TRX") }]),
            "networks[0].withdraw_fee",
            "NEGATIVE",
        ),
        (
            with(&[VenueAssetNetwork { min_withdraw: "-0.1".into(), ..network("TRX") }]),
            "networks[0].min_withdraw",
            "NEGATIVE",
        ),
        (
            with(&[network("ERC20"), VenueAssetNetwork { min_deposit: "-0.1".into(), ..network("TRX") }]),
            "networks[1].min_deposit",
            "NEGATIVE",
        ),
        (
            with(&[VenueAssetNetwork { contract_address: "x".repeat(513), ..network("TRX") }]),
            "networks[0].contract_address",
            "TOO_LONG",
        ),
        (with(&[network(&"N".repeat(65))]), "networks[0].network", "TOO_LONG"),
        (
            with(&[VenueAssetNetwork { min_deposit: "x".into(), ..network("TRX") }]),
            "networks[0].min_deposit",
            "INVALID",
        ),
        (
            with(&[VenueAssetNetwork { confirmations: Some(-1), ..network("TRX") }]),
            "networks[0].confirmations",
            "NEGATIVE",
        ),
        (with(&[VenueAssetNetwork { chain_id: "nowhere".into(), ..network("TRX") }]), "networks", "UNKNOWN_REFERENCE"),
        (
            with(&[VenueAssetNetwork { deployment_id: exchange.on_ethereum.clone(), ..network("TRX") }]),
            "networks[0].deployment_id",
            "OTHER_CHAIN",
        ),
        (
            VenueAsset {
                asset_id: exchange.other.clone(),
                ..with(&[VenueAssetNetwork { deployment_id: exchange.on_tron.clone(), ..network("TRX") }])
            },
            "networks[0].deployment_id",
            "OTHER_ASSET",
        ),
        (VenueAsset { listed_time: late, delisted_time: early, ..with(&[]) }, "delisted_time", "NOT_AFTER_LISTING"),
    ] {
        let refused = made(&mut clients, wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(format!("venue_asset.{field}"), code.into())]);
    }
    let codes = [("BASE".to_owned(), "nowhere".to_owned())].into();
    let mapped = Venue { id: "okx".into(), network_chain_ids: codes, ..Venue::default() };
    let refused = Venue::update(&mut clients, mapped, &["network_chain_ids"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("venue.network_chain_ids".into(), "UNKNOWN_REFERENCE".into())]);
    let many = |count: usize| Venue {
        id: "okx".into(),
        network_chain_ids: (0..count).map(|n| (format!("N{n}"), "tron".to_owned())).collect(),
        ..Venue::default()
    };
    Venue::update(&mut clients, many(512), &["network_chain_ids"], Write::default()).await.unwrap();
    let refused = Venue::update(&mut clients, many(513), &["network_chain_ids"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("venue.network_chain_ids".into(), "TOO_MANY".into())]);
}

async fn what_a_network_refers_to_is_not_deleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    clients.apply(vec![mutation(create(chain("base", "eip155:8453")))]).await.unwrap();
    let by_deployment = VenueAssetNetwork { deployment_id: exchange.on_tron.clone(), ..network("TRX") };
    let by_chain = VenueAssetNetwork { chain_id: "base".into(), ..network("BASE") };
    let bound = made(&mut clients, exchange.bound("", "USDT", &[by_deployment.clone(), by_chain])).await.unwrap();
    for key in [Key::DeploymentId(exchange.on_tron.clone()), Key::ChainId("base".into())] {
        let refused = clients.apply(vec![mutation(delete(key.clone()))]).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REFERRED_TO"), "{key:?}");
        assert_eq!(preconditions(&refused)[0].0, format!("venue_asset {}", bound.id));
    }
    // With the networks the references go; what a chain was once, it stays.
    let without = VenueAsset { networks: Vec::new(), ..bound.clone() };
    VenueAsset::update(&mut clients, VenueAsset { etag: String::new(), ..without }, &["networks"], Write::default())
        .await
        .unwrap();
    clients.apply(vec![mutation(delete(Key::DeploymentId(exchange.on_tron.clone())))]).await.unwrap();
    let refused = clients.apply(vec![mutation(delete(Key::ChainId("base".into())))]).await.unwrap_err();
    assert_eq!(reason(&refused), "ONCE_REFERRED_TO");
    // The venue's own codes hold their chains, too, whether it is deleted or not.
    VenueAsset::delete(&mut clients, &bound.id, "", Write::default()).await.unwrap();
    clients.apply(vec![mutation(delete(Key::VenueId("okx".into())))]).await.unwrap();
    let refused = clients.apply(vec![mutation(delete(Key::ChainId("tron".into())))]).await.unwrap_err();
    assert_eq!((reason(&refused).as_str(), preconditions(&refused)[0].0.as_str()), ("REFERRED_TO", "venue okx"));
    let gone = exchange.bound("", "USDT", &[by_deployment]);
    let refused = made(&mut clients, gone).await.unwrap_err();
    assert!(wrong_fields(&refused).contains(&("venue_asset.networks".into(), "UNKNOWN_REFERENCE".into())));
}

async fn a_batch_says_what_became_of_each(s: TestEnvironment) {
    use batch_resolve_venue_assets_response::result::Result as Found;
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    made(&mut clients, exchange.bound("", "USDT", &[network("TRX")])).await.unwrap();
    made(&mut clients, exchange.bound("spot", "USDC", &[])).await.unwrap();
    let item = |venue: &str, code: &str, network: &str| Item {
        venue_id: venue.into(),
        code: code.into(),
        segment: None,
        network: network.into(),
    };
    let requests = vec![
        item("okx", "USDC", ""),
        item("okx", "USDT", "TRX"),
        item("okx", "USDT", "BASE"),
        item("okx", "DAI", ""),
        item("nowhere", "USDT", ""),
        item("okx", "", ""),
    ];
    let request = BatchResolveVenueAssetsRequest { requests, ..Default::default() };
    for _ in 0..2 {
        let answer = clients.venues.batch_resolve_venue_assets(request.clone()).await.unwrap().into_inner();
        let told = answer.results.into_iter().map(|it| match it.result.unwrap() {
            Found::Resolved(it) => it.venue_asset.unwrap().code,
            Found::Error(error) => reason(&status_of(&error)),
        });
        let expected = ["USDC", "USDT", "NETWORK_UNKNOWN", "VENUE_ASSET_UNKNOWN", "ENTITY_NOT_FOUND", "INVALID_FIELDS"];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

async fn lists_find_the_assets_of_a_venue_and_the_venues_of_an_asset(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let exchange = Exchange::write(&mut clients).await;
    let on_chain = Venue { chain_id: "tron".into(), ..venue("sunswap") };
    clients
        .apply(vec![
            mutation(create(on_chain)),
            mutation(create(exchange.bound("", "USDT", &[]))),
            mutation(create(exchange.bound("spot", "USDT", &[]))),
            mutation(create(VenueAsset { asset_id: exchange.other.clone(), ..exchange.bound("", "O", &[]) })),
            mutation(create(venue_asset("sunswap", "USDT", &exchange.usdt))),
        ])
        .await
        .unwrap();
    let base = ListVenueAssetsRequest::default;
    for (request, count) in [
        (base(), 4),
        (ListVenueAssetsRequest { venue_id: "okx".into(), ..base() }, 3),
        (ListVenueAssetsRequest { asset_id: exchange.usdt.clone(), ..base() }, 3),
        (ListVenueAssetsRequest { venue_id: "okx".into(), code: "USDT".into(), ..base() }, 2),
        (ListVenueAssetsRequest { venue_id: "okx".into(), segment: Some(String::new()), ..base() }, 2),
        (ListVenueAssetsRequest { code: "USDT".into(), segment: Some("spot".into()), ..base() }, 1),
        (ListVenueAssetsRequest { venue_id: "nowhere".into(), ..base() }, 0),
    ] {
        let listed = clients.venues.list_venue_assets(request.clone()).await.unwrap().into_inner().venue_assets;
        assert_eq!(listed.len(), count, "{request:?}");
    }
    let request = ListVenuesRequest { chain_id: "tron".into(), ..Default::default() };
    let venues = clients.venues.list_venues(request).await.unwrap().into_inner().venues;
    assert_eq!(venues.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["sunswap"]);
}
