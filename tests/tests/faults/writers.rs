//! Clients that write all the time, and know what was acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use cqar_proto::v1::{
    CreateAssetRequest, Event, GetAssetRequest, asset_service_client::AssetServiceClient, component::State, entity,
};
use cqar_tests::{
    collect,
    fixtures::{asset, reason},
    server::Server,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

/// The end of a transaction, as PostgreSQL is told of it: a statement alone, and so no part of `READ COMMITTED`.
pub const COMMIT: &str = "COMMIT\0";

/// What became of the writes so far.
#[derive(Default)]
pub struct Outcomes {
    /// Acknowledged, by id, with the symbol that was asked for.
    pub acknowledged: BTreeMap<String, String>,
    /// Refused, and for which reason.
    pub refused: Vec<Status>,
}

/// Writers that go on whatever they are answered.
pub struct Writers {
    pub outcomes: Arc<Mutex<Outcomes>>,
    tasks: JoinSet<()>,
    token: CancellationToken,
}

impl Writers {
    /// So many at a time.
    pub async fn start(server: &Server, count: usize) -> Self {
        let mut this = Self { outcomes: Arc::default(), tasks: JoinSet::new(), token: CancellationToken::new() };
        for writer in 0..count {
            let (channel, outcomes, token) = (server.channel().await, this.outcomes.clone(), this.token.clone());
            this.tasks.spawn(async move {
                for n in 0.. {
                    if token.is_cancelled() {
                        return;
                    }
                    let symbol = format!("W{writer}N{n}");
                    match create(&channel, &symbol).await {
                        Ok(id) => drop(outcomes.lock().unwrap().acknowledged.insert(id, symbol)),
                        Err(status) => {
                            outcomes.lock().unwrap().refused.push(status);
                            // As a client does that was told when to come again.
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
            });
        }
        this
    }

    pub fn acknowledged(&self) -> usize {
        self.outcomes.lock().unwrap().acknowledged.len()
    }

    pub fn refused(&self) -> usize {
        self.outcomes.lock().unwrap().refused.len()
    }

    /// Waits for so many more acknowledged writes.
    pub async fn go_on(&self, more: usize) {
        let seen = self.acknowledged();
        collect::until("writes go on", async || (self.acknowledged() >= seen + more).then_some(())).await;
    }

    /// Ends them.
    pub async fn end(mut self) -> Outcomes {
        self.token.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.outcomes.lock().unwrap())
    }
}

/// Creates an asset, and says its id.
pub async fn create(channel: &Channel, symbol: &str) -> Result<String, Status> {
    let request = CreateAssetRequest { asset: Some(asset(symbol)), ..CreateAssetRequest::default() };
    let created = AssetServiceClient::new(channel.clone()).create_asset(request).await?.into_inner();
    Ok(created.asset.unwrap().id)
}

/// Nothing that was acknowledged is lost, what was refused says that it may be tried again, and the log has no gap.
pub async fn check(server: &Server, outcomes: &Outcomes) {
    let channel = server.channel().await;
    for (id, symbol) in &outcomes.acknowledged {
        let request = GetAssetRequest { asset_id: id.clone(), ..GetAssetRequest::default() };
        let found = AssetServiceClient::new(channel.clone()).get_asset(request).await.unwrap().into_inner();
        assert_eq!(found.symbol, *symbol);
    }
    for status in &outcomes.refused {
        let may_try = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
        assert!(may_try, "{status:?}");
        assert!(!reason(status).is_empty(), "{status:?}");
    }
    let events: Vec<Event> = collect::log(server).await;
    let revisions: BTreeSet<i64> = events.iter().map(|event| event.revision).collect();
    let newest = revisions.last().copied().unwrap_or_default();
    assert_eq!(revisions.len(), usize::try_from(newest).unwrap(), "the log has no gap");
    let logged: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match event.after.as_ref()?.entity.as_ref()? {
            entity::Entity::Asset(asset) => Some(asset.id.as_str()),
            _ => None,
        })
        .collect();
    let missing: Vec<&String> = outcomes.acknowledged.keys().filter(|id| !logged.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "acknowledged, and not in the log: {missing:?}");
}

/// How the database is, as the status says it.
pub async fn database(server: &Server) -> (State, String) {
    let status = collect::status(server).await;
    let component = status.components.into_iter().find(|it| it.name == "database").unwrap();
    (component.state(), component.message)
}

/// Waits until the database is in a state, and says why it is.
pub async fn becomes(server: &Server, state: State) -> String {
    collect::until(&format!("the database is {state:?}"), async || {
        let (is, message) = database(server).await;
        (is == state).then_some(message)
    })
    .await
}

/// The lines of the log that have a text.
pub fn lines(server: &Server, text: &str) -> Vec<String> {
    server.log().into_iter().filter(|line| line.contains(text)).collect()
}

/// Waits until as many lines of the log have a text, for the log is written beside the answers; more are a failure.
pub async fn told(server: &Server, text: &str, times: usize) {
    collect::until(&format!("the log has {times} lines with {text:?}"), async || {
        (lines(server, text).len() >= times).then_some(())
    })
    .await;
    let lines = lines(server, text);
    assert_eq!(lines.len(), times, "{lines:#?}");
}
