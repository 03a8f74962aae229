//! Relationships: what assets are of one another, and the variants that follow.

use std::collections::BTreeMap;

use cqar_proto::v1::{
    Asset, ListRelationshipsRequest, ListVariantsRequest, ListVariantsResponse, Mutation, RateKind, Relationship,
    RelationshipType::{self, Bridges, ForksFrom, LiquidityPair, MigratesTo, Rebases, Stakes, SyntheticOf, Wraps},
    entity_key::Key,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, asset, create, delete, ids, mutation, reason, relationship, says, update, wrong_fields},
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    a_relationship_has_the_rate_of_its_kind
    no_asset_is_made_of_itself
    circles_are_those_of_a_reference_graph
    two_halves_of_a_circle_do_not_slip_past_each_other
    a_share_in_a_pool_is_of_two_assets
    relationships_are_listed_from_either_side
    variants_are_told_by_every_way_with_exact_rates
    variants_follow_what_they_are_made_of
    variants_are_listed_in_pages_and_to_a_depth
    too_many_ways_are_refused_and_fewer_steps_are_answered
    what_is_made_of_too_many_is_not_looked_through
}

async fn assets(clients: &mut Clients, symbols: &[&str]) -> BTreeMap<String, String> {
    let mutations = symbols.iter().map(|symbol| mutation(create(asset(symbol)))).collect();
    let made = ids(&clients.apply(mutations).await.unwrap());
    symbols.iter().map(ToString::to_string).zip(made).collect()
}

fn is(from: &str, of_type: RelationshipType, to: &str, rate: &str) -> Mutation {
    mutation(create(relationship(from, to, of_type, rate)))
}

fn without_rate(from: &str, of_type: RelationshipType, to: &str, kind: RateKind) -> Relationship {
    Relationship { rate_kind: kind.into(), conversion_rate: String::new(), ..relationship(from, to, of_type, "") }
}

async fn a_relationship_has_the_rate_of_its_kind(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, &["A", "B"]).await;
    let (a, b) = (of["A"].as_str(), of["B"].as_str());
    let with = |kind: RateKind, rate: &str| Relationship { rate_kind: kind.into(), ..relationship(a, b, Wraps, rate) };
    for (wrong, field, code) in [
        (with(RateKind::Fixed, ""), "conversion_rate", "REQUIRED"),
        (with(RateKind::Rebasing, ""), "conversion_rate", "REQUIRED"),
        (with(RateKind::Oracle, "1"), "conversion_rate", "NOT_ALLOWED"),
        (with(RateKind::None, "1"), "conversion_rate", "NOT_ALLOWED"),
        (with(RateKind::Unspecified, "1"), "rate_kind", "REQUIRED"),
        (with(RateKind::Fixed, "0"), "conversion_rate", "NOT_POSITIVE"),
        (with(RateKind::Fixed, "-1"), "conversion_rate", "NOT_POSITIVE"),
        (with(RateKind::Fixed, "1,5"), "conversion_rate", "INVALID"),
        (with(RateKind::Fixed, &"9".repeat(39)), "conversion_rate", "INVALID"),
        (Relationship { r#type: 0, ..with(RateKind::Fixed, "1") }, "type", "REQUIRED"),
        (Relationship { to_asset_id: a.into(), ..with(RateKind::Fixed, "1") }, "to_asset_id", "SAME_ASSET"),
        (Relationship { protocol: "x".repeat(65), ..with(RateKind::Fixed, "1") }, "protocol", "TOO_LONG"),
    ] {
        let refused = Relationship::create(&mut clients, wrong, Write::default()).await.unwrap_err();
        assert!(wrong_fields(&refused).contains(&(format!("relationship.{field}"), code.into())), "{refused:?}");
    }
    let exact = "1.1834509871623405987162340598716234";
    let made = Relationship::create(&mut clients, with(RateKind::Fixed, exact), Write::default()).await.unwrap().value;
    assert_eq!(made.conversion_rate, exact);
    let again = Relationship::create(&mut clients, with(RateKind::Fixed, "1"), Write::default()).await.unwrap_err();
    assert_eq!(
        (again.code(), says(&again, "field").as_deref()),
        (Code::AlreadyExists, Some("relationship.to_asset_id"))
    );
    // The rate alone; then that there is none here, which takes it out too.
    let changed = Relationship { id: made.id.clone(), conversion_rate: "1.2".into(), ..Relationship::default() };
    let changed = Relationship::update(&mut clients, changed, &["conversion_rate"], Write::default()).await.unwrap();
    assert_eq!((changed.value.conversion_rate.as_str(), changed.value.rate_kind()), ("1.2", RateKind::Fixed));
    let oracle = Relationship { rate_kind: RateKind::Oracle.into(), conversion_rate: String::new(), ..changed.value };
    let refused =
        Relationship::update(&mut clients, oracle.clone(), &["rate_kind"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("relationship.conversion_rate".into(), "NOT_ALLOWED".into())]);
    let changed = Relationship::update(&mut clients, oracle, &["rate_kind", "conversion_rate"], Write::default()).await;
    assert_eq!(changed.unwrap().value.rate_kind(), RateKind::Oracle);
    let refused =
        clients.assets.delete_asset(cqar_proto::v1::DeleteAssetRequest { asset_id: b.into(), ..Default::default() });
    assert_eq!(reason(&refused.await.unwrap_err()), "REFERRED_TO");
}

async fn no_asset_is_made_of_itself(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, &["A", "B", "C", "D"]).await;
    let [one, two, three, four] = ["A", "B", "C", "D"].map(|symbol| of[symbol].as_str());
    clients
        .apply(vec![is(one, Wraps, two, "1"), is(two, Bridges, three, "1"), is(three, Stakes, four, "1")])
        .await
        .unwrap();
    let circle = [("mutations[0].create.relationship.to_asset_id".to_owned(), "CYCLE".to_owned())];
    for (from, of_type, to) in
        [(two, Wraps, one), (three, Bridges, one), (three, Wraps, one), (three, Wraps, two), (four, Stakes, three)]
    {
        let refused = clients.apply(vec![is(from, of_type, to, "1")]).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), circle, "{from} {of_type:?} {to}");
    }
    // Of other types it is none.
    clients
        .apply(vec![is(two, Stakes, one, "1"), is(three, MigratesTo, one, "1"), is(one, MigratesTo, two, "1")])
        .await
        .unwrap();
    // Both halves in one request, and one half in place of another.
    let both = clients.apply(vec![is(one, Rebases, four, "1"), is(four, Rebases, one, "1")]).await.unwrap_err();
    assert_eq!(wrong_fields(&both).len(), 2);
    let list = ListRelationshipsRequest { from_asset_id: one.into(), r#type: Wraps.into(), ..Default::default() };
    let old = clients.assets.list_relationships(list).await.unwrap().into_inner().relationships[0].id.clone();
    let turned = vec![mutation(delete(Key::RelationshipId(old))), is(two, Wraps, one, "1")];
    clients.apply(turned).await.unwrap();
}

/// Whether one asset is made of another by relationships that form no circle with one of the type.
fn is_made_of(edges: &[(usize, usize, RelationshipType)], from: usize, to: usize, of_type: RelationshipType) -> bool {
    let wraps = [Wraps, Bridges];
    let counts = |it: RelationshipType| it == of_type || (wraps.contains(&it) && wraps.contains(&of_type));
    from == to
        || edges.iter().any(|(a, b, it)| {
            *a == from && counts(*it) && {
                let others: Vec<_> = edges.iter().copied().filter(|edge| edge.0 != from).collect();
                is_made_of(&others, *b, to, of_type)
            }
        })
}

async fn circles_are_those_of_a_reference_graph(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, &["A", "B", "C", "D", "E", "F"]).await;
    let ids: Vec<&str> = of.values().map(String::as_str).collect();
    // Numbers that look like none, the same each time (Knuth's generator).
    let mut state = 0x0dd0_5ee5_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let (mut edges, mut refused_circles) = (Vec::new(), 0);
    for _ in 0..120 {
        let (from, to, of_type) = (next(6), next(6), [Wraps, Bridges, Stakes][next(3)]);
        let is_new = !edges.contains(&(from, to, of_type));
        let is_circle = from != to && is_made_of(&edges, to, from, of_type);
        let made = clients.apply(vec![is(ids[from], of_type, ids[to], "1")]).await;
        let expected = if from == to {
            "SAME_ASSET"
        } else if is_circle {
            "CYCLE"
        } else if is_new {
            ""
        } else {
            "ENTITY_EXISTS"
        };
        let told = match &made {
            Ok(_) => String::new(),
            Err(refused) => wrong_fields(refused).pop().map_or_else(|| reason(refused), |(_, code)| code),
        };
        assert_eq!(told, expected, "{from} {of_type:?} {to} beside {edges:?}");
        refused_circles += usize::from(is_circle);
        if made.is_ok() {
            edges.push((from, to, of_type));
        }
        if edges.len() > 9 {
            let (from, to, of_type) = edges.remove(next(9));
            let list = ListRelationshipsRequest {
                from_asset_id: ids[from].into(),
                to_asset_id: ids[to].into(),
                r#type: of_type.into(),
                ..ListRelationshipsRequest::default()
            };
            let found = clients.assets.list_relationships(list).await.unwrap().into_inner().relationships.remove(0);
            Relationship::delete(&mut clients, &found.id, "", Write::default()).await.unwrap();
        }
    }
    assert!(refused_circles > 10, "{refused_circles}");
}

async fn two_halves_of_a_circle_do_not_slip_past_each_other(s: TestEnvironment) {
    let server = s.options().start().await;
    let (mut one, mut other) = (Clients::of(&server).await, Clients::of(&server).await);
    let of = assets(&mut one, &["M"]).await;
    let middle = of["M"].as_str();
    for _ in 0..20 {
        let of = assets(&mut one, &["A", "B"]).await;
        let (a, b) = (of["A"].as_str(), of["B"].as_str());
        // By way of a third, so that neither knows the assets of the other's relationship.
        let of_c = assets(&mut one, &["C"]).await;
        let c = of_c["C"].as_str();
        one.apply(vec![is(b, Wraps, c, "1"), is(c, Wraps, middle, "1")]).await.unwrap();
        let (first, second) =
            tokio::join!(one.apply(vec![is(a, Wraps, b, "1")]), other.apply(vec![is(c, Bridges, a, "1")]));
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1, "one loses");
        let refused = first.err().or(second.err()).unwrap();
        assert_eq!(wrong_fields(&refused)[0].1, "CYCLE");
    }
}

async fn a_share_in_a_pool_is_of_two_assets(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, &["LP", "A", "B", "C"]).await;
    let pair = |to: &str| without_rate(&of["LP"], LiquidityPair, &of[to], RateKind::None);
    clients.apply(vec![mutation(create(pair("A"))), mutation(create(pair("B")))]).await.unwrap();
    let refused = Relationship::create(&mut clients, pair("C"), Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("relationship.to_asset_id".into(), "TOO_MANY".into())]);
    let variants = variants(&mut clients, &of["A"]).await.unwrap();
    assert!(variants.variants.is_empty(), "a share is no form of an asset");
}

async fn relationships_are_listed_from_either_side(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, &["A", "B", "C"]).await;
    let [a, b, c] = ["A", "B", "C"].map(|it| of[it].as_str());
    let all = [is(a, Wraps, b, "1"), is(a, Stakes, c, "1"), is(b, SyntheticOf, c, "1"), is(a, ForksFrom, b, "1")];
    clients.apply(all.into()).await.unwrap();
    for (from, to, of_type, count) in [
        ("", "", RelationshipType::Unspecified, 4),
        (a, "", RelationshipType::Unspecified, 3),
        ("", c, RelationshipType::Unspecified, 2),
        (a, b, RelationshipType::Unspecified, 2),
        (a, b, ForksFrom, 1),
        ("", "", SyntheticOf, 1),
        (c, "", RelationshipType::Unspecified, 0),
    ] {
        let request = ListRelationshipsRequest {
            from_asset_id: from.into(),
            to_asset_id: to.into(),
            r#type: of_type.into(),
            ..ListRelationshipsRequest::default()
        };
        let listed = clients.assets.list_relationships(request).await.unwrap().into_inner().relationships;
        assert_eq!(listed.len(), count, "{from} {to} {of_type:?}");
    }
}

async fn variants(clients: &mut Clients, asset: &str) -> Result<ListVariantsResponse, Status> {
    let request = ListVariantsRequest { asset_id: asset.into(), ..ListVariantsRequest::default() };
    clients.assets.list_variants(request).await.map(tonic::Response::into_inner)
}

/// Each variant's symbol, and of each way to it the symbols and the rate.
fn told(answer: &ListVariantsResponse, of: &BTreeMap<String, String>) -> Vec<(String, Vec<(String, String)>)> {
    let symbol = |id: &str| of.iter().find(|(_, it)| *it == id).unwrap().0.clone();
    let mut told: Vec<_> = answer
        .variants
        .iter()
        .map(|variant| {
            let path = |path: &cqar_proto::v1::VariantPath| {
                let steps = path.steps.iter().map(|step| {
                    let direction = if step.is_to_underlying { "^" } else { "v" };
                    format!("{direction}{}", symbol(&step.asset_id))
                });
                let rate = match path.rate_denominator.as_str() {
                    "" => format!("unknown of {}", path.unknown_relationship_ids.len()),
                    "1" => path.rate_numerator.clone(),
                    denominator => format!("{}/{denominator}", path.rate_numerator),
                };
                (steps.collect::<Vec<_>>().join(" "), rate)
            };
            (variant.asset.as_ref().unwrap().symbol.clone(), variant.paths.iter().map(path).collect())
        })
        .collect();
    told.sort();
    told
}

/// Ether as it is: WETH wraps it, stETH is staked of it, wstETH wraps stETH, and bridged wstETH is on another chain.
async fn ether(clients: &mut Clients) -> BTreeMap<String, String> {
    let of = assets(clients, &["ETH", "WETH", "stETH", "wstETH", "bwstETH", "rETH", "OLD", "BTC"]).await;
    let id = |symbol: &str| of[symbol].as_str();
    clients
        .apply(vec![
            is(id("WETH"), Wraps, id("ETH"), "1"),
            is(id("stETH"), Stakes, id("ETH"), "0.999"),
            is(id("wstETH"), Wraps, id("stETH"), "1.2"),
            is(id("bwstETH"), Bridges, id("wstETH"), "1"),
            // By a second way, through another contract.
            is(id("bwstETH"), Wraps, id("stETH"), "1.1999"),
            mutation(create(without_rate(id("rETH"), Stakes, id("ETH"), RateKind::Oracle))),
            is(id("OLD"), MigratesTo, id("WETH"), "0.5"),
            is(id("BTC"), SyntheticOf, id("ETH"), "1"),
        ])
        .await
        .unwrap();
    of
}

async fn variants_are_told_by_every_way_with_exact_rates(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = ether(&mut clients).await;
    let way = |steps: &str, rate: &str| (steps.to_owned(), rate.to_owned());
    let expected = [
        ("WETH", vec![way("vWETH", "1")]),
        ("bwstETH", vec![way("vstETH vbwstETH", "1.1987001"), way("vstETH vwstETH vbwstETH", "1.1988")]),
        ("rETH", vec![way("vrETH", "unknown of 1")]),
        ("stETH", vec![way("vstETH", "0.999")]),
        ("wstETH", vec![way("vstETH vwstETH", "1.1988")]),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(symbol, ways)| (symbol.to_owned(), ways)).collect();
    for _ in 0..2 {
        let answer = variants(&mut clients, &of["ETH"]).await.unwrap();
        assert_eq!(told(&answer, &of), expected);
        assert_eq!(answer.root_asset_ids, [of["ETH"].clone()]);
        assert_eq!(answer.migrations.len(), 1, "OLD is replaced by WETH, and no variant");
        assert!(!answer.has_deeper && answer.next_page_token.is_empty());
    }
    // From below: up to the root, and down from all on the way.
    let answer = variants(&mut clients, &of["wstETH"]).await.unwrap();
    let told = told(&answer, &of);
    let ways = |symbol: &str| told.iter().find(|(it, _)| it == symbol).unwrap().1.clone();
    assert_eq!(answer.root_asset_ids, [of["ETH"].clone()]);
    assert_eq!(ways("stETH"), [way("^stETH", "1/1.2")]);
    assert_eq!(ways("ETH"), [way("^stETH ^ETH", "1/1.1988")]);
    assert_eq!(ways("WETH"), [way("^stETH ^ETH vWETH", "1/1.1988")]);
    assert_eq!(ways("bwstETH"), [way("vbwstETH", "1"), way("^stETH vbwstETH", "1.1999/1.2")]);
    let unknown = variants(&mut clients, "0192f0c1-2345-7abc-8def-0123456789ab").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    assert_eq!(
        wrong_fields(&variants(&mut clients, "ETH").await.unwrap_err()),
        [("asset_id".into(), "INVALID".into())]
    );
    let none = variants(&mut clients, &of["BTC"]).await.unwrap();
    assert!(none.variants.is_empty() && none.root_asset_ids == [of["BTC"].clone()]);
}

async fn variants_follow_what_they_are_made_of(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = ether(&mut clients).await;
    let rate = async |clients: &mut Clients, symbol: &str| {
        let answer = variants(clients, &of["ETH"]).await.unwrap();
        told(&answer, &of).into_iter().find(|(it, _)| it == symbol).map(|(_, ways)| ways[0].1.clone())
    };
    assert_eq!(rate(&mut clients, "wstETH").await.as_deref(), Some("1.1988"));
    let list = ListRelationshipsRequest { from_asset_id: of["wstETH"].clone(), ..Default::default() };
    let wraps = clients.assets.list_relationships(list).await.unwrap().into_inner().relationships.remove(0);
    let changed = Relationship { id: wraps.id.clone(), conversion_rate: "1.3".into(), ..Relationship::default() };
    clients.apply(vec![mutation(update(changed))]).await.unwrap();
    assert_eq!(rate(&mut clients, "wstETH").await.as_deref(), Some("1.2987"));
    let renamed = Asset { id: of["WETH"].clone(), name: "Wrapped".into(), ..Asset::default() };
    clients.apply(vec![mutation(update(renamed))]).await.unwrap();
    let answer = variants(&mut clients, &of["ETH"]).await.unwrap();
    assert!(answer.variants.iter().any(|it| it.asset.as_ref().unwrap().name == "Wrapped"));
    Relationship::delete(&mut clients, &wraps.id, "", Write::default()).await.unwrap();
    assert_eq!(rate(&mut clients, "wstETH").await, None);
    assert_eq!(variants(&mut clients, &of["rETH"]).await.unwrap().root_asset_ids, [of["ETH"].clone()]);
    clients.apply(vec![is(&of["BTC"], Wraps, &of["bwstETH"], "3")]).await.unwrap();
    assert_eq!(rate(&mut clients, "BTC").await.as_deref(), Some("3.5961003"), "five steps away");
}

async fn variants_are_listed_in_pages_and_to_a_depth(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = ether(&mut clients).await;
    let page = async |clients: &mut Clients, page_size, page_token: &str, max_depth| {
        let (asset_id, page_token) = (of["ETH"].clone(), page_token.to_owned());
        let request = ListVariantsRequest { page_size, page_token, asset_id, max_depth, ..Default::default() };
        clients.assets.list_variants(request).await.map(tonic::Response::into_inner)
    };
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let answer = page(&mut clients, 2, &token, 0).await.unwrap();
        seen.extend(answer.variants.iter().map(|it| it.asset.as_ref().unwrap().id.clone()));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
        assert_eq!(answer.variants.len(), 2);
        // One that comes between two pages is on the page of its id.
        let late = assets(&mut clients, &["LATE"]).await;
        clients.apply(vec![is(&late["LATE"], Wraps, &of["ETH"], "1")]).await.unwrap();
        if seen.len() > 20 {
            break;
        }
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "each once");
    for symbol in ["WETH", "stETH", "wstETH", "bwstETH", "rETH"] {
        assert!(seen.contains(&of[symbol]), "{symbol}");
    }
    let shallow = page(&mut clients, 0, "", 1).await.unwrap();
    assert!(shallow.has_deeper && shallow.variants.iter().all(|it| it.paths.iter().all(|path| path.steps.len() == 1)));
    assert!(!page(&mut clients, 0, "", 3).await.unwrap().has_deeper);
    for (size, depth, field) in [(-1, 0, "page_size"), (0, -1, "max_depth")] {
        let refused = page(&mut clients, size, "", depth).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), "NEGATIVE".into())]);
    }
    let first = page(&mut clients, 1, "", 0).await.unwrap().next_page_token;
    let refused = page(&mut clients, 1, &first, 2).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("page_token".into(), "FOREIGN_TOKEN".into())]);
}

async fn too_many_ways_are_refused_and_fewer_steps_are_answered(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    // Diamonds one below the other: each doubles the ways.
    let symbols: Vec<String> = (0..=14 * 3).map(|n| format!("D{n}")).collect();
    let of = assets(&mut clients, &symbols.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let edges = (0..14).flat_map(|n| {
        let top = n * 3;
        [(top + 1, top), (top + 2, top), (top + 3, top + 1), (top + 3, top + 2)]
    });
    let edge = |(from, to): (usize, usize)| is(&of[&symbols[from]], Wraps, &of[&symbols[to]], "1");
    clients.apply(edges.map(edge).collect()).await.unwrap();
    let ask = async |clients: &mut Clients, max_depth| {
        let request = ListVariantsRequest { asset_id: of["D0"].clone(), max_depth, ..Default::default() };
        clients.assets.list_variants(request).await.map(tonic::Response::into_inner)
    };
    let refused = ask(&mut clients, 32).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TOO_MANY_VARIANTS"));
    let answer = ask(&mut clients, 4).await.unwrap();
    let ways: Vec<usize> = answer.variants.iter().map(|it| it.paths.len()).collect();
    assert!(answer.has_deeper);
    assert_eq!((ways.len(), ways.iter().sum::<usize>()), (6, 2 + 2 + 4 + 4), "two diamonds");
    // Few enough, and those to one variant are larger than any client takes: 2,048 of 24 steps.
    let above = assets(&mut clients, &["P0", "P1"]).await;
    let chain = vec![is(&of["D0"], Wraps, &above["P1"], "1"), is(&above["P1"], Wraps, &above["P0"], "1")];
    clients.apply(chain).await.unwrap();
    let ask = async |clients: &mut Clients, max_depth, page_token| {
        let asset_id = above["P0"].clone();
        let request = ListVariantsRequest { asset_id, max_depth, page_token, ..Default::default() };
        clients.assets.list_variants(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(reason(&ask(&mut clients, 24, String::new()).await.unwrap_err()), "TOO_MANY_VARIANTS");
    let (mut token, mut ways) = (String::new(), 0);
    loop {
        // This client takes 4 MiB.
        let page = ask(&mut clients, 23, token).await.unwrap();
        ways += page.variants.iter().map(|it| it.paths.len()).sum::<usize>();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(ways, 2 + (1..=10).map(|n| 2 * (1 << (n - 1)) + (1 << n)).sum::<usize>() + 2 * (1 << 10));
}

async fn what_is_made_of_too_many_is_not_looked_through(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let symbols: Vec<String> = (0..5010).map(|n| format!("U{n}")).collect();
    let of = assets(&mut clients, &symbols.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (derivative, underlyings) = (&of["U0"], &symbols[1..]);
    for underlyings in underlyings.chunks(2500) {
        let each = underlyings.iter().flat_map(|symbol| [Wraps, Bridges].map(|of_type| (of_type, symbol)));
        let all = each.map(|(of_type, symbol)| is(derivative, of_type, &of[symbol], "1"));
        clients.apply(all.collect()).await.unwrap();
    }
    let new = assets(&mut clients, &["NEW"]).await;
    let refused = clients.apply(vec![is(&new["NEW"], Wraps, derivative, "1")]).await.unwrap_err();
    let field = "mutations[0].create.relationship.to_asset_id".to_owned();
    assert_eq!(wrong_fields(&refused), [(field, "TOO_MANY_RELATED".into())]);
    // What cannot close a circle does not count.
    clients.apply(vec![is(&new["NEW"], LiquidityPair, derivative, "1")]).await.unwrap();
    // Others are none the wiser.
    clients.apply(vec![is(&new["NEW"], Wraps, &of["U1"], "1")]).await.unwrap();
}
