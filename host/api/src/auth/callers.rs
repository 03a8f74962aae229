//! Who may call: keys, kept as hashes, and names of certificates; what each may do, and until when.

use std::{collections::HashMap, fmt, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    limits::{CallerLimits, CallerUse},
    scopes::{Grant, Scope},
};

/// Someone who may call.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The actor in the event log. Several may have one name, so that keys are replaced without a gap.
    pub name: String,
    /// By what it is known.
    pub credential: Credential,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Until when; none for good.
    pub expires: Option<SystemTime>,
    /// How much it may do at once. Callers of one name share it; where they say different things, the last one's holds.
    pub limits: CallerLimits,
}

/// By what a caller is known.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The SHA-256 of its API key.
    KeyHash([u8; 32]),
    /// A URI or DNS name of its certificate, exactly.
    Certificate(String),
}

impl Credential {
    /// Of an API key.
    pub fn of_key(key: &[u8]) -> Self {
        Self::KeyHash(hash(key))
    }
}

/// Neither the hash nor anything else of a key.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Those who may call. Clones share them, so that they can be replaced while the server serves. With nobody in it, everybody may, as
/// `anonymous`.
#[derive(Clone, Default)]
pub struct Callers(Arc<ArcSwap<Known>>);

#[derive(Default)]
struct Known {
    by_hash: HashMap<[u8; 32], Arc<KnownCaller>>,
    by_certificate: HashMap<String, Arc<KnownCaller>>,
}

/// A caller, with what it does just now.
#[derive(Debug)]
pub(crate) struct KnownCaller {
    pub(crate) name: Arc<str>,
    grants: Vec<Grant>,
    expires: Option<SystemTime>,
    pub(crate) used: Arc<CallerUse>,
}

impl KnownCaller {
    /// Whether it may do that.
    pub(crate) fn may(&self, scope: Scope, service: &str) -> bool {
        self.grants.iter().any(|grant| grant.allows(scope, service))
    }

    pub(crate) fn has_expired(&self, now: impl FnOnce() -> SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now())
    }
}

impl Callers {
    /// These may call.
    pub fn new(callers: Vec<Caller>) -> Self {
        let this = Self::default();
        this.replace(callers);
        this
    }

    /// From the next call on these may call, and no others. What one of the same name does just now goes on counting.
    pub fn replace(&self, callers: Vec<Caller>) {
        let before = self.0.load();
        let mut used: HashMap<Arc<str>, Arc<CallerUse>> =
            before.callers().map(|known| (Arc::clone(&known.name), Arc::clone(&known.used))).collect();
        let mut known = Known::default();
        for Caller { name, credential, grants, expires, limits } in callers {
            let name: Arc<str> = name.into();
            let used = Arc::clone(used.entry(Arc::clone(&name)).or_default());
            used.limit(limits);
            let caller = Arc::new(KnownCaller { name, grants, expires, used });
            match credential {
                Credential::KeyHash(hash) => known.by_hash.insert(hash, caller),
                Credential::Certificate(name) => known.by_certificate.insert(name, caller),
            };
        }
        self.0.store(Arc::new(known));
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        let known = self.0.load();
        known.by_hash.is_empty() && known.by_certificate.is_empty()
    }

    /// Whose key it is. It is looked up by its hash, of which nothing is told to whoever does not know the key; and then compared whole, in
    /// a time that is always the same.
    pub(super) fn by_key(&self, key: &[u8]) -> Option<Arc<KnownCaller>> {
        let presented = hash(key);
        let known = self.0.load();
        let (hash, caller) = known.by_hash.get_key_value(&presented)?;
        bool::from(hash.ct_eq(&presented)).then(|| Arc::clone(caller))
    }

    /// Whose certificate has one of these names.
    pub(super) fn by_certificate(&self, names: &[Arc<str>]) -> Option<Arc<KnownCaller>> {
        let known = self.0.load();
        names.iter().find_map(|name| known.by_certificate.get(&**name)).cloned()
    }
}

impl Known {
    fn callers(&self) -> impl Iterator<Item = &Arc<KnownCaller>> {
        self.by_hash.values().chain(self.by_certificate.values())
    }
}

/// The names alone.
impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.load();
        let mut names: Vec<&str> = known.callers().map(|caller| &*caller.name).collect();
        names.sort_unstable();
        f.debug_list().entries(names).finish()
    }
}
