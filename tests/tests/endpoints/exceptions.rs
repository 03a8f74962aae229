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

/// Why plugins have none of it.
const PLUGINS: &str = "plugins are this server's, and have no revision";

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
    ("PluginService/ListPlugins", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/GetPlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/DisablePlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/EnablePlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/RemovePlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/ReloadPlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/LiftPlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/EvaluatePlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/CapturePlugin", Rule::ReadsReachBack, PLUGINS),
    ("PluginService/WatchPlugins", Rule::ReadsReachBack, PLUGINS),
    ("RegistryService/GetStatus", Rule::ReadsNameTheirState, "it says how this server is, whatever state that is"),
    ("EventService/Watch", Rule::ReadsNameTheirState, "it names a position of the log, which is every state after it"),
    ("PluginService/ListPlugins", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/GetPlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/DisablePlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/EnablePlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/RemovePlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/ReloadPlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/LiftPlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/EvaluatePlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/CapturePlugin", Rule::ReadsNameTheirState, PLUGINS),
    ("PluginService/WatchPlugins", Rule::ReadsNameTheirState, PLUGINS),
];

/// Whether the rule does not hold for the method.
pub fn is_exception(method: &str, rule: Rule) -> bool {
    EXCEPTIONS.iter().any(|(of, excepted, _)| *of == method && *excepted == rule)
}
