//! Deployments: what an asset is on a chain, and what is at an address.

use cqar_proto::v1::{
    BatchResolveDeploymentsRequest, Chain, ChainAddress, Deployment, DeploymentPlace, ListDeploymentsRequest, Mutation,
    ResolveDeploymentRequest, ResolveDeploymentResponse, TokenStandard, batch_resolve_deployments_response,
    chain_address, deployment_place::Place,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, asset, chain, create, deployment, ids, mutation, named, reason, says, status_of, update, wrong_fields,
    },
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    an_address_is_one_asset_in_whichever_spelling
    an_address_resolves_in_every_spelling_and_by_caip19
    what_is_registered_later_is_found_and_what_is_gone_is_not
    an_asset_has_one_canonical_deployment_on_a_chain
    what_contradicts_is_refused_and_never_taken_for_the_same
    the_own_coin_is_no_other_asset
    a_batch_says_what_became_of_each
    a_chain_that_comes_after_its_deployments_says_where_they_are
    what_is_first_of_several_is_not_taken_for_another
}

const USDC: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

/// Chains of each kind, and an asset.
struct Chains {
    asset: String,
    other: String,
}

impl Chains {
    async fn write(clients: &mut Clients) -> Self {
        let of = |id: &str, caip2: &str| mutation(create(chain(id, caip2)));
        let mutations = vec![
            named("one", create(asset("ONE"))),
            named("two", create(asset("TWO"))),
            of("ethereum", "eip155:1"),
            of("base", "eip155:8453"),
            of("solana", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
            of("tron", "tron:728126428"),
            of("bitcoin", "bip122:000000000019d6689c085ae165831e93"),
            of("osmosis", "cosmos:osmosis-1"),
            of("sui", "sui:mainnet"),
        ];
        let made = ids(&clients.apply(mutations).await.unwrap());
        Self { asset: made[0].clone(), other: made[1].clone() }
    }
}

fn of(standard: TokenStandard, chain: &str, address: &str, asset: &str) -> Deployment {
    Deployment { standard: standard.into(), ..deployment(chain, address, asset) }
}

fn at(chain: &str, address: &str) -> DeploymentPlace {
    let chain = if chain.contains(':') {
        chain_address::Chain::Caip2(chain.into())
    } else {
        chain_address::Chain::ChainId(chain.into())
    };
    let place = Place::Address(ChainAddress { chain: Some(chain), address: address.into() });
    DeploymentPlace { place: Some(place) }
}

fn caip19(id: &str) -> DeploymentPlace {
    DeploymentPlace { place: Some(Place::Caip19(id.into())) }
}

async fn resolve(clients: &mut Clients, place: DeploymentPlace) -> Result<ResolveDeploymentResponse, Status> {
    let request = ResolveDeploymentRequest { place: Some(place), ..ResolveDeploymentRequest::default() };
    clients.assets.resolve_deployment(request).await.map(tonic::Response::into_inner)
}

async fn made(clients: &mut Clients, new: Deployment) -> Result<Deployment, Status> {
    Deployment::create(clients, new, Write::default()).await.map(|made| made.value)
}

/// Spellings of one address, the kept one, and the CAIP-19 id.
const SPELLED: [(TokenStandard, &str, &[&str], &str, &str); 7] = [
    (
        TokenStandard::Erc20,
        "ethereum",
        &[USDC, "0XA0B86991C6218B36C1D19D4A2E9EB0CE3606EB48"],
        "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    ),
    (
        TokenStandard::Spl,
        "solana",
        &["EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"],
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    ),
    (
        TokenStandard::Trc20,
        "tron",
        &["41a614f803b6fd780986a42c78ec9c7f77e6ded13c", "0x41A614F803B6FD780986A42C78EC9C7F77E6DED13C"],
        "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
        "tron:728126428/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    ),
    (
        TokenStandard::Denom,
        "osmosis",
        &["ibc/27394fb092d2eccd56123c74f36e4c1f926001ceada9ca97ea622b25f41e5eb2"],
        "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2",
        "cosmos:osmosis-1/denom:ibc%2F27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2",
    ),
    (
        TokenStandard::MoveCoin,
        "sui",
        &["0x2::sui::SUI", "0x0000000000000000000000000000000000000000000000000000000000000002::sui::SUI"],
        "0x2::sui::SUI",
        "sui:mainnet/coin:0x2%3A%3Asui%3A%3ASUI",
    ),
    (
        TokenStandard::Other,
        "bitcoin",
        &["BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"],
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bip122:000000000019d6689c085ae165831e93/token:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ),
    (TokenStandard::Native, "base", &["native"], "native", ""),
];

async fn an_address_is_one_asset_in_whichever_spelling(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    for (standard, chain, spellings, kept, caip19) in SPELLED {
        let first = made(&mut clients, of(standard, chain, spellings[0], &chains.asset)).await.unwrap();
        assert_eq!((first.address.as_str(), first.caip19.as_str()), (kept, caip19));
        for spelled in spellings.iter().chain([&kept]) {
            let again = made(&mut clients, of(standard, chain, spelled, &chains.other)).await.unwrap_err();
            assert_eq!((again.code(), reason(&again).as_str()), (Code::AlreadyExists, "ENTITY_EXISTS"), "{spelled}");
            assert_eq!(says(&again, "field").as_deref(), Some("deployment.address"));
        }
        let bad = made(&mut clients, of(standard, chain, "0x12 34", &chains.asset)).await.unwrap_err();
        let field = ("deployment.address".to_owned(), "INVALID_ADDRESS".to_owned());
        assert!(wrong_fields(&bad).contains(&field), "{chain}: {bad:?}");
    }
    let listed = async |clients: &mut Clients, asset_id: &str, chain_id: &str| {
        let (asset_id, chain_id) = (asset_id.to_owned(), chain_id.to_owned());
        let request = ListDeploymentsRequest { asset_id, chain_id, ..ListDeploymentsRequest::default() };
        clients.assets.list_deployments(request).await.unwrap().into_inner().deployments.len()
    };
    assert_eq!(listed(&mut clients, &chains.asset, "").await, SPELLED.len());
    assert_eq!(listed(&mut clients, &chains.other, "").await, 0);
    assert_eq!(listed(&mut clients, "", "tron").await, 1);
    assert_eq!(listed(&mut clients, &chains.asset, "ethereum").await, 1);
}

async fn an_address_resolves_in_every_spelling_and_by_caip19(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    for (standard, chain, spellings, kept, id) in SPELLED {
        let there = made(&mut clients, of(standard, chain, kept, &chains.asset)).await.unwrap();
        for spelled in spellings {
            let found = resolve(&mut clients, at(chain, spelled)).await.unwrap();
            assert_eq!(found.deployment.as_ref(), Some(&there), "{spelled}");
            assert_eq!(found.asset.unwrap().id, chains.asset);
            let caip2 = found.chain.unwrap().caip2;
            assert_eq!(resolve(&mut clients, at(&caip2, spelled)).await.unwrap().deployment.unwrap(), there);
        }
        if !id.is_empty() {
            assert_eq!(resolve(&mut clients, caip19(id)).await.unwrap().deployment.unwrap(), there);
        }
    }
    let account = |id: &str| DeploymentPlace { place: Some(Place::Caip10(id.into())) };
    let found = resolve(&mut clients, account(&format!("eip155:1:{USDC}"))).await.unwrap();
    assert_eq!(found.chain.unwrap().id, "ethereum");
    let checksummed = resolve(&mut clients, caip19(&format!("eip155:1/erc20:{USDC}"))).await.unwrap();
    assert_eq!(checksummed.chain.unwrap().id, "ethereum");
    let coin = Deployment {
        slip44: Some(501),
        decimals: Some(9),
        ..of(TokenStandard::Native, "solana", "native", &chains.other)
    };
    let coin = made(&mut clients, coin).await.unwrap();
    assert_eq!(coin.caip19, "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/slip44:501");
    assert_eq!(resolve(&mut clients, caip19(&coin.caip19)).await.unwrap().deployment.unwrap(), coin);

    let unknown = [
        (at("nowhere", USDC), Code::NotFound, "ENTITY_NOT_FOUND"),
        (at("eip155:999", USDC), Code::NotFound, "CHAIN_UNKNOWN"),
        (at("base", USDC), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
        (caip19(&format!("eip155:8453/erc20:{USDC}")), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
        // What is there is something else.
        (caip19(&format!("eip155:1/erc721:{USDC}")), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
        (caip19("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/slip44:60"), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
        (caip19("eip155:8453/slip44:60"), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
    ];
    for (place, code, why) in unknown {
        // Twice: misses are kept.
        for _ in 0..2 {
            let refused = resolve(&mut clients, place.clone()).await.unwrap_err();
            assert_eq!((refused.code(), reason(&refused).as_str()), (code, why), "{place:?}");
        }
    }
    let anywhere = ChainAddress { chain: None, address: USDC.into() };
    let malformed = [
        (at("ethereum", "0x12"), "place.address.address", "INVALID_ADDRESS"),
        (at("No Slug", USDC), "place.address.chain_id", "INVALID"),
        (at("ethereum", ""), "place.address.address", "INVALID_ADDRESS"),
        (at("ethereum", &"0".repeat(513)), "place.address.address", "INVALID_ADDRESS"),
        (at("eip155:", USDC), "place.address.caip2", "INVALID_CAIP2"),
        (DeploymentPlace { place: Some(Place::Address(anywhere)) }, "place.address.chain_id", "REQUIRED"),
        (caip19("eip155:1"), "place.caip19", "INVALID_CAIP19"),
        (caip19("eip155:1/erc20:0x12"), "place.caip19", "INVALID_ADDRESS"),
        (account("eip155:1"), "place.caip10", "INVALID_CAIP10"),
        (account("eip155:8453:0x12"), "place.caip10", "INVALID_ADDRESS"),
        (DeploymentPlace::default(), "place", "REQUIRED"),
    ];
    for (place, field, code) in malformed {
        for _ in 0..2 {
            let refused = resolve(&mut clients, place.clone()).await.unwrap_err();
            assert_eq!(wrong_fields(&refused), [(field.into(), code.into())], "{place:?}");
        }
    }
}

/// Every answer follows what it is made of, cached or not.
async fn what_is_registered_later_is_found_and_what_is_gone_is_not(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    let why = async |clients: &mut Clients, place| reason(&resolve(clients, place).await.unwrap_err());
    assert_eq!(why(&mut clients, at("ethereum", USDC)).await, "DEPLOYMENT_UNKNOWN");
    let there = made(&mut clients, deployment("ethereum", USDC, &chains.asset)).await.unwrap();
    assert_eq!(resolve(&mut clients, at("ethereum", USDC)).await.unwrap().deployment.unwrap(), there);

    let renamed = cqar_proto::v1::Asset { id: chains.asset.clone(), name: "Renamed".into(), ..Default::default() };
    clients.apply(vec![mutation(update(renamed))]).await.unwrap();
    assert_eq!(resolve(&mut clients, at("ethereum", USDC)).await.unwrap().asset.unwrap().name, "Renamed");
    let renamed = Chain { id: "ethereum".into(), name: "Renamed".into(), ..Chain::default() };
    clients.apply(vec![mutation(update(renamed))]).await.unwrap();
    assert_eq!(resolve(&mut clients, at("eip155:1", USDC)).await.unwrap().chain.unwrap().name, "Renamed");

    // Its CAIP-19 id follows its standard.
    let id = format!("eip155:1/erc1155:{USDC}");
    assert_eq!(why(&mut clients, caip19(&id)).await, "DEPLOYMENT_UNKNOWN");
    let other = Deployment { standard: TokenStandard::Erc1155.into(), ..there.clone() };
    let other = Deployment::update(&mut clients, other, &["standard"], Write::default()).await.unwrap().value;
    assert_eq!(other.caip19, id.to_ascii_lowercase());
    assert_eq!(resolve(&mut clients, caip19(&id)).await.unwrap().deployment.unwrap(), other);
    assert_eq!(why(&mut clients, caip19(&there.caip19)).await, "DEPLOYMENT_UNKNOWN");

    // An unknown chain, then one, then an address of its own coin.
    assert_eq!(why(&mut clients, at("eip155:10", "native")).await, "CHAIN_UNKNOWN");
    clients.apply(vec![mutation(create(chain("optimism", "eip155:10")))]).await.unwrap();
    assert_eq!(why(&mut clients, at("eip155:10", "native")).await, "DEPLOYMENT_UNKNOWN");
    let coin = made(&mut clients, of(TokenStandard::Native, "optimism", "native", &chains.asset)).await.unwrap();
    let zero = "0x0000000000000000000000000000000000000000";
    assert_eq!(why(&mut clients, at("optimism", zero)).await, "DEPLOYMENT_UNKNOWN");
    let called = Chain { id: "optimism".into(), native_addresses: vec![zero.into()], ..Chain::default() };
    clients.apply(vec![mutation(update(called))]).await.unwrap();
    assert_eq!(resolve(&mut clients, at("optimism", zero)).await.unwrap().deployment.unwrap(), coin);

    Deployment::delete(&mut clients, &other.id, "", Write::default()).await.unwrap();
    assert_eq!(why(&mut clients, at("ethereum", USDC)).await, "DEPLOYMENT_UNKNOWN");
    assert_eq!(why(&mut clients, caip19(&id)).await, "DEPLOYMENT_UNKNOWN");
}

async fn an_asset_has_one_canonical_deployment_on_a_chain(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    let numbered = |n: u8, asset: &str| {
        let address = format!("0x{n:040x}");
        Deployment { is_canonical: Some(true), ..deployment("ethereum", &address, asset) }
    };
    let first = made(&mut clients, numbered(1, &chains.asset)).await.unwrap();
    let refused = made(&mut clients, numbered(2, &chains.asset)).await.unwrap_err();
    assert_eq!(
        (refused.code(), says(&refused, "field").as_deref()),
        (Code::AlreadyExists, Some("deployment.is_canonical"))
    );
    // Of another asset, of another chain, and one that is not.
    made(&mut clients, numbered(3, &chains.other)).await.unwrap();
    made(&mut clients, Deployment { chain_id: "base".into(), ..numbered(2, &chains.asset) }).await.unwrap();
    let second = made(&mut clients, Deployment { is_canonical: None, ..numbered(2, &chains.asset) }).await.unwrap();
    assert_eq!(second.is_canonical, Some(false));
    // In one request they may change places.
    let is = |deployment: &Deployment, is_canonical| {
        let (id, is_canonical) = (deployment.id.clone(), Some(is_canonical));
        mutation(update(Deployment { id, is_canonical, ..Deployment::default() }))
    };
    let both = clients.apply(vec![is(&second, true)]).await.unwrap_err();
    assert_eq!(reason(&both), "ENTITY_EXISTS");
    clients.apply(vec![is(&second, true), is(&first, false)]).await.unwrap();
}

async fn what_contradicts_is_refused_and_never_taken_for_the_same(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    let there = made(&mut clients, deployment("ethereum", USDC, &chains.asset)).await.unwrap();
    let existing = |new: Deployment| Mutation { allow_existing: true, ..mutation(create(new)) };
    let same = deployment("ethereum", &USDC.to_ascii_uppercase().replace("0X", "0x"), &chains.asset);
    assert_eq!(ids(&clients.apply(vec![existing(same.clone())]).await.unwrap()), [there.id.as_str()]);
    // The chain is named anew in the same request, under another id.
    let chain_again = Mutation { allow_existing: true, ..named("eth", create(chain("eth", "eip155:1"))) };
    let through = existing(Deployment { chain_id: "$eth".into(), ..same.clone() });
    assert_eq!(ids(&clients.apply(vec![chain_again, through]).await.unwrap()), ["ethereum", &there.id]);
    for (other, field) in [
        (Deployment { asset_id: chains.other.clone(), ..same.clone() }, "asset_id"),
        (Deployment { decimals: Some(18), ..same.clone() }, "decimals"),
    ] {
        let refused = clients.apply(vec![existing(other)]).await.unwrap_err();
        let field = format!("mutations[0].create.deployment.{field}");
        assert_eq!(wrong_fields(&refused), [(field, "CONTRADICTION".into())]);
    }
    for (changed, field) in [
        (Deployment { decimals: Some(18), ..there.clone() }, "decimals"),
        (Deployment { asset_id: chains.other.clone(), ..there.clone() }, "asset_id"),
        (Deployment { chain_id: "base".into(), ..there.clone() }, "chain_id"),
        (Deployment { address: "native".into(), ..there.clone() }, "address"),
        (Deployment { address: "0x12".into(), ..there.clone() }, "address"),
        (Deployment { address: String::new(), ..there.clone() }, "address"),
        (Deployment { decimals: Some(-1), ..there.clone() }, "decimals"),
    ] {
        let refused = Deployment::update(&mut clients, changed, &[field], Write::default()).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(format!("deployment.{field}"), "IMMUTABLE".into())]);
    }
    // Who sends what others wrote changes nothing.
    for mask in [&["address"][..], &["*"], &[]] {
        let spelled = Deployment { address: USDC.into(), ..there.clone() };
        let left = Deployment::update(&mut clients, spelled, mask, Write::default()).await.unwrap();
        assert_eq!(left.value, there, "{mask:?}");
    }
    let zero = "0x0000000000000000000000000000000000000001";
    let new = || deployment("ethereum", zero, &chains.asset);
    for (wrong, field, code) in [
        (Deployment { decimals: None, ..new() }, "decimals", "REQUIRED"),
        (Deployment { decimals: Some(256), ..new() }, "decimals", "OUT_OF_RANGE"),
        (Deployment { decimals: Some(-1), ..new() }, "decimals", "OUT_OF_RANGE"),
        (Deployment { standard: 0, ..new() }, "standard", "REQUIRED"),
        (of(TokenStandard::Native, "ethereum", zero, &chains.asset), "standard", "NATIVE_MISMATCH"),
        (of(TokenStandard::Erc20, "ethereum", "native", &chains.asset), "standard", "NATIVE_MISMATCH"),
        (Deployment { slip44: Some(60), ..new() }, "slip44", "NOT_NATIVE"),
        (Deployment { slip44: Some(-1), ..new() }, "slip44", "NEGATIVE"),
        (Deployment { chain_id: "nowhere".into(), ..new() }, "chain_id", "UNKNOWN_REFERENCE"),
    ] {
        let refused = made(&mut clients, wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(format!("deployment.{field}"), code.into())]);
    }
}

async fn the_own_coin_is_no_other_asset(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    made(&mut clients, deployment("ethereum", USDC, &chains.asset)).await.unwrap();
    let called =
        |address: &str| Chain { id: "ethereum".into(), native_addresses: vec![address.into()], ..Chain::default() };
    let refused = clients.apply(vec![mutation(update(called(USDC)))]).await.unwrap_err();
    let field = says(&refused, "field");
    assert_eq!(
        (refused.code(), field.as_deref()),
        (Code::AlreadyExists, Some("mutations[0].update.chain.native_addresses[0]"))
    );
    let coin = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE";
    clients.apply(vec![mutation(update(called(coin)))]).await.unwrap();
    let native = of(TokenStandard::Native, "ethereum", coin, &chains.other);
    assert_eq!(made(&mut clients, native).await.unwrap().address, "native", "in whichever spelling");
    // What a chain was once, it stays.
    let refused = Chain::delete(&mut clients, "ethereum", "", Write::default()).await.unwrap_err();
    assert_eq!(reason(&refused), "REFERRED_TO");
}

async fn a_batch_says_what_became_of_each(s: TestEnvironment) {
    use batch_resolve_deployments_response::result::Result as Found;
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    let there = made(&mut clients, deployment("ethereum", USDC, &chains.asset)).await.unwrap();
    let places = [
        at("ethereum", USDC),
        at("base", USDC),
        at("ethereum", "0x12"),
        DeploymentPlace::default(),
        caip19(&there.caip19),
        at("eip155:1", &there.address),
    ];
    let requests = places.into();
    let request = BatchResolveDeploymentsRequest { requests, ..BatchResolveDeploymentsRequest::default() };
    for _ in 0..2 {
        let answer = clients.assets.batch_resolve_deployments(request.clone()).await.unwrap().into_inner();
        assert_eq!(answer.revision, there.revision);
        let results = answer.results.into_iter().map(|it| match it.result.unwrap() {
            Found::Resolved(it) => Ok(it.deployment.unwrap()),
            Found::Error(error) => Err(wrong_fields(&status_of(&error))),
        });
        let wrong = |field: &str, code: &str| Err(vec![(field.to_owned(), code.to_owned())]);
        let expected = [
            Ok(there.clone()),
            Err(Vec::new()),
            wrong("requests[2].address.address", "INVALID_ADDRESS"),
            wrong("requests[3]", "REQUIRED"),
            Ok(there.clone()),
            Ok(there.clone()),
        ];
        assert_eq!(results.collect::<Vec<_>>(), expected);
    }
    let many = BatchResolveDeploymentsRequest { requests: vec![DeploymentPlace::default(); 10_001], ..request };
    let refused = clients.assets.batch_resolve_deployments(many).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("requests".into(), "TOO_MANY".into())]);
}

/// Mutations may create what they refer to in any order.
async fn a_chain_that_comes_after_its_deployments_says_where_they_are(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let made = ids(&clients.apply(vec![mutation(create(asset("A"))), mutation(create(asset("B")))]).await.unwrap());
    let later = |place: Deployment, chain: Chain| vec![mutation(create(place)), mutation(create(chain))];
    let new = deployment("ethereum", USDC, &made[0]);
    let applied = clients.apply(later(new.clone(), chain("ethereum", "eip155:1"))).await.unwrap();
    let there = resolve(&mut clients, at("ethereum", USDC)).await.unwrap().deployment.unwrap();
    assert_eq!((&there.id, there.address.as_str()), (&ids(&applied)[0], &*USDC.to_ascii_lowercase()));
    assert_eq!(resolve(&mut clients, caip19(&there.caip19)).await.unwrap().deployment.unwrap(), there);
    let again = Deployment { address: USDC.to_ascii_lowercase(), asset_id: made[1].clone(), ..new.clone() };
    let refused = Deployment::create(&mut clients, again, Write::default()).await.unwrap_err();
    assert_eq!(says(&refused, "field").as_deref(), Some("deployment.address"));
    let nowhere = Deployment { chain_id: "solana".into(), ..new.clone() };
    let solana = chain("solana", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp");
    let refused = clients.apply(later(nowhere, solana)).await.unwrap_err();
    let field = "mutations[0].create.deployment.address".to_owned();
    assert_eq!(wrong_fields(&refused), [(field, "INVALID_ADDRESS".into())]);

    // A chain may also become another one under what is put on it in the same request.
    clients.apply(vec![mutation(create(chain("layer", "eip155:2")))]).await.unwrap();
    let on_layer = Deployment { chain_id: "layer".into(), ..new };
    let moved = Chain { id: "layer".into(), caip2: "eip155:3".into(), ..Chain::default() };
    clients.apply(vec![mutation(create(on_layer)), mutation(update(moved))]).await.unwrap();
    let there = resolve(&mut clients, at("eip155:3", USDC)).await.unwrap().deployment.unwrap();
    assert_eq!(there.caip19, format!("eip155:3/erc20:{}", USDC.to_ascii_lowercase()));
    assert_eq!(resolve(&mut clients, caip19(&there.caip19)).await.unwrap().deployment.unwrap(), there);
}

/// The canonical deployment is one of several, and says nothing of which one is meant.
async fn what_is_first_of_several_is_not_taken_for_another(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let chains = Chains::write(&mut clients).await;
    let canonical =
        |address: &str| Deployment { is_canonical: Some(true), ..deployment("base", address, &chains.asset) };
    let existing = |new| vec![Mutation { allow_existing: true, ..mutation(create(new)) }];
    clients.apply(existing(canonical(USDC))).await.unwrap();
    let refused = clients.apply(existing(canonical("0x00000000000000000000000000000000000000aa"))).await.unwrap_err();
    assert_eq!(
        (refused.code(), says(&refused, "field").as_deref()),
        (Code::AlreadyExists, Some("mutations[0].create.deployment.is_canonical"))
    );
    assert_eq!(clients.apply(existing(canonical(USDC))).await.unwrap().changed, 0);
}
