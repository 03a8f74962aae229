//! Lists in pages.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey};
use cqar_store::{Filter, ListPage, PageBounds};
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
/// Below the 4 MiB that clients receive unless they raise it.
pub(crate) const MAX_PAGE_BYTES: usize = 3584 << 10;
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
        let size = page.size()?;
        let fingerprint = filter.fingerprint();
        let read = |id: String| EntityKey::parse(filter.entity_type(), &id).ok();
        let after = read_token(&fingerprint, &page.token, read)?;
        self.wait_for_revision(min_revision).await?;
        let mut snapshot = self.inner.store.snapshot().await?;
        let bounds = PageBounds { entities: size, bytes: MAX_PAGE_BYTES };
        let ListPage { entities, next_after } = snapshot.list(&filter, after.as_ref(), bounds).await?;
        let next_page_token = next_after.map(|last| token(&fingerprint, &last.id())).unwrap_or_default();
        Ok(Revisioned { revision: snapshot.revision(), value: EntityPage { entities, next_page_token } })
    }
}

impl PageRequest {
    pub(crate) fn size(&self) -> Result<u32, Error> {
        match u32::try_from(self.size) {
            Ok(0) => Ok(DEFAULT_PAGE),
            Ok(size) => Ok(size.min(MAX_PAGE)),
            Err(_) => Err(Error::invalid("page_size", "NEGATIVE", "must not be negative")),
        }
    }
}

/// What asks for the page after the last item of this one, in the same list.
pub(crate) fn token(fingerprint: &str, last: &str) -> String {
    let bytes = [filter_hash(fingerprint).as_slice(), last.as_bytes()].concat();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The item after which a page begins; none for the first page.
pub(crate) fn read_token<T>(
    fingerprint: &str,
    token: &str,
    item: impl Fn(String) -> Option<T>,
) -> Result<Option<T>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (hash, id) = bytes.split_at_checked(FILTER_BYTES)?;
        if hash != filter_hash(fingerprint) {
            return None;
        }
        item(String::from_utf8(id.to_vec()).ok()?)
    };
    let refused =
        || Error::invalid("page_token", "FOREIGN_TOKEN", "must be the next_page_token of a call with the same filter");
    read().map(Some).ok_or_else(refused)
}

fn filter_hash(fingerprint: &str) -> Vec<u8> {
    let mut hash = Sha256::digest(fingerprint).to_vec();
    hash.truncate(FILTER_BYTES);
    hash
}

#[cfg(test)]
mod tests {
    use cqar_domain::id::ChainId;
    use cqar_store::filters::ChainFilter;

    use super::*;

    #[test]
    fn a_token_is_bound_to_its_filter() {
        let chains = |caip2: Option<&str>| {
            Filter::from(ChainFilter { caip2: caip2.map(Into::into), ..ChainFilter::default() }).fingerprint()
        };
        let (all, one) = (chains(None), chains(Some("eip155:1")));
        let id = |id: String| id.parse::<ChainId>().ok();
        let token = token(&all, "ethereum");
        assert_eq!(read_token(&all, &token, id).unwrap(), "ethereum".parse().ok());
        for (filter, bad) in [(&one, token.as_str()), (&all, "x"), (&all, "AAAAAAAAAAAA"), (&all, "é")] {
            assert!(matches!(read_token(filter, bad, id), Err(Error::Invalid(_))), "{bad}");
        }
        assert_eq!(read_token(&all, "", id).unwrap(), None);
    }
}
