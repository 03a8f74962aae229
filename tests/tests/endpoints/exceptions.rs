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

/// Method, rule, reason; a `*` at the end of a method stands for anything.
pub const EXCEPTIONS: &[(&str, Rule, &str)] = &[
    (
        "RegistryService/ImportListing",
        Rule::WritesHaveTheirFields,
        "a listing holds from the moment that it speaks of: observed_time is its effective_time",
    ),
    ("AssetService/List*", Rule::ReadsReachBack, LISTS),
    ("ChainService/List*", Rule::ReadsReachBack, LISTS),
    ("IdentifierService/List*", Rule::ReadsReachBack, LISTS),
    ("VenueService/List*", Rule::ReadsReachBack, LISTS),
    ("InstrumentService/List*", Rule::ReadsReachBack, LISTS),
    ("MarketService/List*", Rule::ReadsReachBack, LISTS),
    ("RegistryService/GetStatus", Rule::ReadsReachBack, "it says how this server is now"),
    ("EventService/Watch", Rule::ReadsReachBack, "it names a position of the log, which is every state after it"),
    ("PluginService/*", Rule::ReadsReachBack, PLUGINS),
    ("RegistryService/GetStatus", Rule::ReadsNameTheirState, "it says how this server is, whatever state that is"),
    ("EventService/Watch", Rule::ReadsNameTheirState, "it names a position of the log, which is every state after it"),
    ("PluginService/*", Rule::ReadsNameTheirState, PLUGINS),
];

/// Whether the method is the one, or one of those, that an exception names.
pub fn matches(named: &str, method: &str) -> bool {
    named.strip_suffix('*').map_or(named == method, |begin| method.starts_with(begin))
}

/// Whether the rule does not hold for the method.
pub fn is_exception(method: &str, rule: Rule) -> bool {
    EXCEPTIONS.iter().any(|(named, excepted, _)| matches(named, method) && *excepted == rule)
}
