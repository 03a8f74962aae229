//! Lists in pages.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey};
use cqar_store::Filter;
use sha2::{Digest, Sha256};

use crate::{Registry, Revisioned, error::Error};

/// Which page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The most entities; 0 for the default of 50, larger than 1,000 is lowered to that.
    pub size: i32,
    /// What the page before gave; empty for the first.
    pub token: String,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityPage {
    /// The entities, in the order of their ids.
    pub entities: Vec<Entity>,
    /// What asks for the next page; empty if this is the last.
    pub next_page_token: String,
}

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 1000;
/// So much of the filter's hash binds a token to it.
const FILTER_BYTES: usize = 8;

impl Registry {
    /// The entities that pass the filter.
    pub async fn list(
        &self,
        filter: Filter,
        page: PageRequest,
        min_revision: Revision,
    ) -> Result<Revisioned<EntityPage>, Error> {
        let size = match u32::try_from(page.size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => return Err(Error::invalid("page_size", "NEGATIVE", "must not be negative")),
        };
        let after = read_token(&filter, &page.token)?;
        self.wait_for_revision(min_revision).await?;
        let mut snapshot = self.inner.store.snapshot().await?;
        // One more tells whether there is another page.
        let mut entities = snapshot.list(&filter, after.as_ref(), size + 1).await?;
        let has_more = entities.len() > size as usize;
        entities.truncate(size as usize);
        let last = entities.last().filter(|_| has_more);
        let next_page_token = last.map(|last| token(&filter, &last.key())).unwrap_or_default();
        Ok(Revisioned { revision: snapshot.revision(), value: EntityPage { entities, next_page_token } })
    }
}

fn token(filter: &Filter, last: &EntityKey) -> String {
    let bytes = [filter_hash(filter).as_slice(), last.id().as_bytes()].concat();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn read_token(filter: &Filter, token: &str) -> Result<Option<EntityKey>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (hash, id) = bytes.split_at_checked(FILTER_BYTES)?;
        if hash != filter_hash(filter) {
            return None;
        }
        EntityKey::parse(filter.entity_type(), str::from_utf8(id).ok()?).ok()
    };
    let refused =
        || Error::invalid("page_token", "FOREIGN_TOKEN", "must be the next_page_token of a call with the same filter");
    read().map(Some).ok_or_else(refused)
}

fn filter_hash(filter: &Filter) -> Vec<u8> {
    let mut hash = Sha256::digest(filter.fingerprint()).to_vec();
    hash.truncate(FILTER_BYTES);
    hash
}

#[cfg(test)]
mod tests {
    use cqar_store::filters::ChainFilter;

    use super::*;

    #[test]
    fn a_token_is_bound_to_its_filter() {
        let chains = |caip2: Option<&str>| Filter::from(ChainFilter { caip2: caip2.map(Into::into) });
        let (all, one) = (chains(None), chains(Some("eip155:1")));
        let last = EntityKey::Chain("ethereum".parse().unwrap());
        let token = token(&all, &last);
        assert_eq!(read_token(&all, &token).unwrap(), Some(last));
        for (filter, bad) in [(&one, token.as_str()), (&all, "x"), (&all, "AAAAAAAAAAAA"), (&all, "é")] {
            assert!(matches!(read_token(filter, bad), Err(Error::Invalid(_))), "{bad}");
        }
        assert_eq!(read_token(&all, "").unwrap(), None);
    }
}
