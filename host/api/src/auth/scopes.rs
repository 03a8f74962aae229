//! What a caller may do, and what each method needs: one table, and a method that is missing from it stops the start.

use std::{fmt, str::FromStr};

use cqar_proto::server::{
    asset_service_server::SERVICE_NAME as ASSETS, chain_service_server::SERVICE_NAME as CHAINS,
    event_service_server::SERVICE_NAME as EVENTS, identifier_service_server::SERVICE_NAME as IDENTIFIERS,
    instrument_service_server::SERVICE_NAME as INSTRUMENTS, market_service_server::SERVICE_NAME as MARKETS,
    plugin_service_server::SERVICE_NAME as PLUGINS, registry_service_server::SERVICE_NAME as REGISTRY,
    venue_service_server::SERVICE_NAME as VENUES,
};

/// What kind of thing a method does. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// It changes nothing.
    Read,
    /// It changes what is registered.
    Write,
    /// It operates the server: its plugins.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: probes have no key.
    Open,
    /// A key, unless it is configured to need none: the contract is no secret among callers.
    Reflection,
    /// A key with the scope, for the service.
    Scoped(Scope, &'static str),
}

/// Methods of a service, by what they need.
type ByScope = &'static [(Scope, &'static [&'static str])];

/// Each service with its methods, by what they need.
const METHODS: &[(&str, ByScope)] = &[
    (
        ASSETS,
        &[
            (
                Scope::Read,
                &[
                    "GetAsset",
                    "BatchGetAssets",
                    "ListAssets",
                    "GetDeployment",
                    "BatchGetDeployments",
                    "ListDeployments",
                    "ResolveDeployment",
                    "BatchResolveDeployments",
                    "GetRelationship",
                    "BatchGetRelationships",
                    "ListRelationships",
                    "ListVariants",
                    "GetGroup",
                    "BatchGetGroups",
                    "ListGroups",
                ],
            ),
            (
                Scope::Write,
                &[
                    "CreateAsset",
                    "UpdateAsset",
                    "DeleteAsset",
                    "UndeleteAsset",
                    "CreateDeployment",
                    "UpdateDeployment",
                    "DeleteDeployment",
                    "CreateRelationship",
                    "UpdateRelationship",
                    "DeleteRelationship",
                    "CreateGroup",
                    "UpdateGroup",
                    "DeleteGroup",
                    "ChangeGroupMembers",
                ],
            ),
        ],
    ),
    (
        CHAINS,
        &[
            (Scope::Read, &["GetChain", "BatchGetChains", "ListChains"]),
            (Scope::Write, &["CreateChain", "UpdateChain", "DeleteChain"]),
        ],
    ),
    (EVENTS, &[(Scope::Read, &["Watch"])]),
    (
        IDENTIFIERS,
        &[
            (
                Scope::Read,
                &[
                    "GetIdentifier",
                    "BatchGetIdentifiers",
                    "ListIdentifiers",
                    "ResolveIdentifier",
                    "BatchResolveIdentifiers",
                ],
            ),
            (Scope::Write, &["CreateIdentifier", "UpdateIdentifier", "DeleteIdentifier"]),
        ],
    ),
    (
        INSTRUMENTS,
        &[
            (Scope::Read, &["GetInstrument", "BatchGetInstruments", "ListInstruments"]),
            (Scope::Write, &["CreateInstrument", "UpdateInstrument", "DeleteInstrument", "UndeleteInstrument"]),
        ],
    ),
    (
        MARKETS,
        &[
            (
                Scope::Read,
                &[
                    "GetMarket",
                    "BatchGetMarkets",
                    "ListMarkets",
                    "ResolveMarket",
                    "BatchResolveMarkets",
                    "FormatSymbol",
                    "BatchFormatSymbols",
                    "FindMarkets",
                ],
            ),
            (Scope::Write, &["CreateMarket", "UpdateMarket", "DeleteMarket", "DelistMarket"]),
        ],
    ),
    (
        PLUGINS,
        &[
            (Scope::Read, &["ListPlugins", "GetPlugin", "WatchPlugins"]),
            (
                Scope::Admin,
                &[
                    "DisablePlugin",
                    "EnablePlugin",
                    "RemovePlugin",
                    "ReloadPlugin",
                    "LiftPlugin",
                    // A case may take a second of a processor, and recorded calls have what others sent.
                    "EvaluatePlugin",
                    "CapturePlugin",
                ],
            ),
        ],
    ),
    (REGISTRY, &[(Scope::Read, &["GetStatus"]), (Scope::Write, &["Apply", "ImportListing"])]),
    (
        VENUES,
        &[
            (
                Scope::Read,
                &[
                    "GetVenue",
                    "BatchGetVenues",
                    "ListVenues",
                    "GetVenueAsset",
                    "BatchGetVenueAssets",
                    "ListVenueAssets",
                    "ResolveVenueAsset",
                    "BatchResolveVenueAssets",
                ],
            ),
            (
                Scope::Write,
                &[
                    "CreateVenue",
                    "UpdateVenue",
                    "DeleteVenue",
                    "UndeleteVenue",
                    "CreateVenueAsset",
                    "UpdateVenueAsset",
                    "DeleteVenueAsset",
                ],
            ),
        ],
    ),
];

/// A method that nothing is said of, which is a defect of the build.
#[derive(Debug, thiserror::Error)]
#[error("nothing says who may call {0}")]
pub struct UnknownAccess(String);

/// What a method needs: `package.Service/Method`.
pub(crate) fn access(name: &str) -> Result<Access, UnknownAccess> {
    find(name).ok_or_else(|| UnknownAccess(name.to_owned()))
}

fn find(name: &str) -> Option<Access> {
    let (service, method) = name.split_once('/')?;
    if service == "grpc.health.v1.Health" {
        return Some(Access::Open);
    }
    if service.starts_with("grpc.reflection.") {
        return Some(Access::Reflection);
    }
    let (service, scopes) = METHODS.iter().find(|(known, _)| *known == service)?;
    let (scope, _) = scopes.iter().find(|(_, methods)| methods.contains(&method))?;
    Some(Access::Scoped(*scope, service))
}

/// What a caller may do: a scope, for every service or for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    scope: Scope,
    /// None for every service.
    service: Option<&'static str>,
}

impl Grant {
    /// Every scope for every service.
    pub fn all() -> Vec<Self> {
        Scope::ALL.map(|scope| Self { scope, service: None }).to_vec()
    }

    /// Whether it allows a scope for a service.
    pub(crate) fn allows(self, scope: Scope, service: &str) -> bool {
        self.scope == scope && self.service.is_none_or(|only| only == service)
    }
}

/// Why something is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be read, write or admin, or one of them for a service, such as write:MarketService")]
pub struct NoGrant;

/// `read`, or `write:MarketService`.
impl FromStr for Grant {
    type Err = NoGrant;

    fn from_str(text: &str) -> Result<Self, NoGrant> {
        let (scope, service) = text.split_once(':').map_or((text, None), |(scope, service)| (scope, Some(service)));
        let scope = Scope::ALL.into_iter().find(|known| known.name() == scope).ok_or(NoGrant)?;
        let full =
            |short: &str| METHODS.iter().map(|(name, _)| *name).find(|name| name.rsplit('.').next() == Some(short));
        let service = service.map(|short| full(short).ok_or(NoGrant)).transpose()?;
        Ok(Self { scope, service })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scope.name())?;
        match self.service {
            Some(service) => write!(f, ":{}", service.rsplit('.').next().unwrap_or(service)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_every_service_or_for_one() {
        let grant = |text: &str| text.parse::<Grant>();
        let narrow = grant("write:MarketService").unwrap();
        assert!(narrow.allows(Scope::Write, MARKETS));
        assert!(!narrow.allows(Scope::Write, ASSETS) && !narrow.allows(Scope::Read, MARKETS));
        assert!(grant("read").unwrap().allows(Scope::Read, PLUGINS));
        for text in ["read", "write:MarketService", "admin:PluginService"] {
            assert_eq!(grant(text).unwrap().to_string(), text);
        }
        for wrong in ["", "all", "read:", "read:Markets", "read:cqar.v1.MarketService", "Read"] {
            assert_eq!(grant(wrong), Err(NoGrant), "{wrong}");
        }
    }

    #[test]
    fn a_method_that_nothing_is_said_of_stops_the_start() {
        access("cqar.v1.MarketService/ResolveMarket").unwrap();
        access("grpc.health.v1.Health/Check").unwrap();
        for unknown in ["cqar.v1.MarketService/ForgetMarket", "cqar.v1.FlagService/RaiseFlag"] {
            let error = access(unknown).unwrap_err();
            assert_eq!(error.to_string(), format!("nothing says who may call {unknown}"));
        }
    }

    #[test]
    fn a_method_stands_in_the_table_once() {
        for (service, scopes) in METHODS {
            let mut methods: Vec<&str> = scopes.iter().flat_map(|(_, methods)| *methods).copied().collect();
            methods.sort_unstable();
            let all = methods.len();
            methods.dedup();
            assert_eq!(methods.len(), all, "{service}");
        }
    }
}
