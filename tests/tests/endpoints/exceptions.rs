//! Where a rule does not hold, and why. A new exception is a decision of the contract, not of a test.

/// The rules that read the descriptor set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What can be repeated can be tried, says why, and from when it holds.
    WritesHaveTheirFields,
    /// An answer to what can name a state says of which revision it is.
    AnswersHaveTheirRevision,
    /// What reads what is registered can name the state to read.
    ReadsNameTheirState,
    /// What reads one thing, or several that are named, can name a past state.
    ReadsReachBack,
}

/// Why lists name no past state.
const LISTS: &str = "a list of a past state is an export, which is a call of its own";

/// Method, rule, reason.
pub const EXCEPTIONS: &[(&str, Rule, &str)] = &[
    (
        "RegistryService/ImportListing",
        Rule::WritesHaveTheirFields,
        "a listing holds from the moment that it speaks of: observed_time is its effective_time",
    ),
    ("AssetService/ListAssets", Rule::ReadsReachBack, LISTS),
    ("ChainService/ListChains", Rule::ReadsReachBack, LISTS),
    ("VenueService/ListVenues", Rule::ReadsReachBack, LISTS),
    ("VenueService/ListVenueAssets", Rule::ReadsReachBack, LISTS),
    ("InstrumentService/ListInstruments", Rule::ReadsReachBack, LISTS),
    ("MarketService/ListMarkets", Rule::ReadsReachBack, LISTS),
    ("RegistryService/GetStatus", Rule::ReadsReachBack, "it says how this server is now"),
    ("EventService/Watch", Rule::ReadsReachBack, "it names a position of the log, which is every state after it"),
    ("PluginService/ListPlugins", Rule::ReadsReachBack, "plugins are this server's, and have no revision"),
    ("PluginService/GetPlugin", Rule::ReadsReachBack, "plugins are this server's, and have no revision"),
    ("RegistryService/GetStatus", Rule::ReadsNameTheirState, "it says how this server is, whatever state that is"),
    ("EventService/Watch", Rule::ReadsNameTheirState, "it names a position of the log, which is every state after it"),
    ("PluginService/ListPlugins", Rule::ReadsNameTheirState, "plugins are this server's, and have no revision"),
    ("PluginService/GetPlugin", Rule::ReadsNameTheirState, "plugins are this server's, and have no revision"),
];

/// Whether the rule does not hold for the method.
pub fn is_exception(method: &str, rule: Rule) -> bool {
    EXCEPTIONS.iter().any(|(of, excepted, _)| *of == method && *excepted == rule)
}
