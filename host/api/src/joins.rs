//! What the services have in common where they resolve: a key to what it names and what that refers to, encoded.

use cqar_proto::{
    encoded::{BatchResult, EncodedAnswer, EncodedBatch},
    rpc,
};
use cqar_registry::{Error, JoinedQuery, Revisioned};
use tracing::Span;

use crate::{
    memory::AnswerBudget,
    reads::{check_batch, read_revision},
    services::{Api, Reply, answered},
    status::status,
};

/// So many are looked up before their bytes are counted.
const JOINED_AT_ONCE: usize = 256;

impl Api {
    /// What the query names.
    pub(crate) async fn join(
        &self,
        query: Result<JoinedQuery, Error>,
        min_revision: i64,
        at_revision: i64,
    ) -> Reply<EncodedAnswer> {
        let min_revision = read_revision(min_revision, at_revision)?;
        let query = query.map_err(status)?;
        let Revisioned { revision, value } = self.registry.join(query, min_revision).await.map_err(status)?;
        Ok(answered(Revisioned { revision, value: EncodedAnswer { resolved: value, revision } }))
    }

    /// What each of the queries names, or why nothing, in their order.
    pub(crate) async fn batch_join(
        &self,
        queries: impl ExactSizeIterator<Item = Result<JoinedQuery, Error>>,
        min_revision: i64,
        at_revision: i64,
        mut budget: AnswerBudget,
    ) -> Reply<EncodedBatch> {
        let min_revision = read_revision(min_revision, at_revision)?;
        Span::current().record("items", queries.len());
        check_batch("requests", queries.len()).map_err(status)?;
        // Taken before anything is looked up, and all of it is as of that at least.
        let revision = self.registry.batch_join(0, Vec::new(), min_revision).await.map_err(status)?.revision;
        let mut queries = queries.peekable();
        let mut results = Vec::with_capacity(queries.len());
        while queries.peek().is_some() {
            if let Some(refused) = budget.refused() {
                // What has no room in the answer is not looked up.
                let refused = rpc::Status::from(refused);
                results.extend(queries.map(|_| BatchResult::Error(refused.clone())));
                break;
            }
            let asked = queries.by_ref().take(JOINED_AT_ONCE).collect();
            let joined = self.registry.batch_join(results.len(), asked, revision).await.map_err(status)?.value;
            results.extend(joined.into_iter().map(|joined| {
                match joined.map_err(status).and_then(|bytes| budget.admit(bytes.len()).map(|()| bytes)) {
                    Ok(bytes) => BatchResult::Resolved(bytes),
                    Err(refused) => BatchResult::Error(rpc::Status::from(&refused)),
                }
            }));
        }
        Ok(answered(Revisioned { revision, value: EncodedBatch { results, revision } }))
    }
}
