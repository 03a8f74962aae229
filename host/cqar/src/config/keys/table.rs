//! The table itself: every key with its default, what is allowed, what it does and when it acts. The loader, `cqar config defaults`,
//! `cqar config show` and docs/configuration.md all read it.

use super::{Key, Section};

const DURATION: &str = "a duration such as 50ms, 30s, 15m or 1h";
const TIMEOUT: &str = "a duration from 1ms to 24h, such as 50ms, 30s or 15m";
const SIZE: &str = "a size in bytes such as 512KiB, 64MiB or 1GiB";
const PORT: &str = "a port, 0 to 65535 (0 takes a free one)";
const SERVERS_PORT: &str = "a port, 1 to 65535";
const SWITCH: &str = "true or false";
const TEXT: &str = "text";
const COUNT: &str = "a whole number, 1 or more";
const COUNT_OR_0: &str = "a whole number, 0 or more";
const DIRECTORY: &str = "a directory";
const FILE: &str = "a file, or empty";
const NAMES: &str = "names of plugins, as a list or separated by commas";
const HOST: &str = "a host name or an IP address, or empty";

/// Why what configures consumers is accepted.
const CONSUMER: &str = "it belongs to consumers of the stream, of which this server is none";

/// Every setting, section by section. It is explicit because a variable cut at each `_` would read `DATABASE_MAX_CONNS` as a
/// section `max`.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "service",
        doc: "What this deployment is.",
        keys: &[
            key("service.name", "cqar", "letters, digits, `_`, `-` and `.`", "What traces call it."),
            key(
                "service.version",
                "\"\"",
                TEXT,
                "The version that traces show. Empty: the binary's own, which is what GetStatus shows in any case.",
            ),
            key(
                "service.env",
                "\"\"",
                "production, staging or development (prod and dev for short), or NAME with a file config.NAME.yaml, or empty",
                "Which file goes over config.yaml: production reads config.prod.yaml, staging config.staging.yaml, development \
                 config.dev.yaml, and NAME config.NAME.yaml. With production and staging the start is refused where it would be unsafe: \
                 without a key, with one that is short, on a database that nobody named, with a secret that reads ${NAME}.",
            ),
            key(
                "service.mesh",
                "false",
                SWITCH,
                "Whether a service mesh encrypts what goes between the pods, so that `cqar config check --strict` asks for no TLS of its own.",
            ),
        ],
    },
    Section {
        name: "server",
        doc: "Where and how it listens.",
        keys: &[
            key(
                "server.host",
                "\"\"",
                HOST,
                "The address to listen on. Empty: 127.0.0.1 while no API key is configured, else 0.0.0.0 (all addresses). Without a key, \
                 only a loopback address is allowed.",
            ),
            key("server.grpc_port", "9090", PORT, "The port of gRPC. 0 takes a free one."),
            key("server.http_port", "8080", PORT, "The port of HTTP: /health/live and /health/ready. 0 takes a free one."),
            key(
                "server.start_timeout",
                "5m",
                TIMEOUT,
                "How long the start waits for a database that cannot be reached or is not migrated yet. Health and /health/ready answer \
                 meanwhile, and say what is waited for; calls are answered UNAVAILABLE (STARTING).",
            ),
            key(
                "server.shutdown_timeout",
                "30s",
                DURATION,
                "How long running calls may take to end after the drain delay; then they are cut off. The process ends 5 s later at the latest.",
            ),
            key(
                "server.drain_delay",
                "auto",
                "auto, or a duration such as 50ms, 30s, 15m or 1h",
                "How long the server goes on accepting after SIGTERM, while /health/ready and gRPC health say that it leaves, so that whoever \
                 sends calls has learned of it. auto: 5s with SERVICE_ENV production or staging, else 0s. SIGINT does not wait, and a second \
                 signal ends the process at once.",
            ),
            key(
                "server.max_connections",
                "10000",
                COUNT,
                "The most connections of the gRPC port; those beyond are closed at once, and counted. Fewer where the limit of open files \
                 does not reach, which is raised at the start as far as the system allows.",
            ),
            key(
                "server.stale_reads",
                "15m",
                DURATION,
                "For how long after the database last answered what the cache holds is served, marked by x-cqar-stale (its age in \
                 seconds). 0s: not at all.",
            )
            .reloads(),
            key(
                "server.min_revision_timeout",
                "5s",
                TIMEOUT,
                "How long a read with min_revision waits for that revision before it answers UNAVAILABLE.",
            )
            .reloads(),
            key("server.max_request_bytes", "16MiB", SIZE, "The largest gRPC message that is accepted."),
            key(
                "server.batch_memory",
                "256MiB",
                "a size in bytes of at least 128MiB",
                "The most bytes that large requests and answers have in memory together. What finds too little left answers \
                 RESOURCE_EXHAUSTED.",
            ),
            key(
                "server.reflection_requires_key",
                "false",
                SWITCH,
                "Whether gRPC reflection needs an API key, as everything but health does once one is configured.",
            ),
            key("server.tls_enabled", "false", SWITCH, "Whether the gRPC port speaks TLS 1.2 and 1.3; then it speaks nothing else."),
            key(
                "server.http_tls_enabled",
                "false",
                SWITCH,
                "Whether the HTTP ports, for probes and scrapers, speak TLS, with the same certificate; probes must then ask by https.",
            ),
            key("server.tls_cert_file", "\"\"", FILE, "The certificate of the ports and its chain, PEM. Read again when it changes.").reloads(),
            key("server.tls_key_file", "\"\"", FILE, "Its private key, PEM. Both are shown once they go together.").reloads(),
            key(
                "server.tls_client_ca_file",
                "\"\"",
                FILE,
                "Who signs the certificates of clients of the gRPC port, PEM. A client may then show one, and is who auth.keys_file says of a \
                 URI or DNS name in it. Empty: none is asked for.",
            )
            .reloads(),
        ],
    },
    Section {
        name: "database",
        doc: "Where the registry is stored: by url, or by host, port, user, password and database.",
        keys: &[
            key(
                "database.url",
                "\"\"",
                "sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME, or empty",
                "sqlite://PATH for the embedded database (the file and its directory are made when absent), or \
                 postgres://USER:PASSWORD@HOST:PORT/NAME. The characters # / ? @ % of a user or password are written %23 %2F %3F %40 %25. \
                 Empty, and without database.host: sqlite://data/cqar.db.",
            )
            .url(),
            key("database.host", "\"\"", HOST, "The host of PostgreSQL, or the directory of its socket.").url(),
            key("database.port", "5432", SERVERS_PORT, "Its port."),
            key("database.user", "\"\"", TEXT, "Its user. Needed with database.host."),
            key("database.password", "\"\"", TEXT, "The user's password. Any character stands for itself.").secret(),
            key("database.database", "\"\"", TEXT, "The database. Empty: named as the user."),
            key(
                "database.ssl_mode",
                "prefer",
                "disable, prefer, require, verify-ca or verify-full (`allow` would send plaintext)",
                "Whether connections to PostgreSQL are encrypted, where the URL does not say: prefer takes what the server offers, require \
                 refuses plaintext, verify-ca also checks who signed the certificate, verify-full also its host name.",
            ),
            key(
                "database.ssl_root_cert",
                "\"\"",
                FILE,
                "Who may have signed the server's certificate beside the public authorities, PEM. Looked at with verify-ca and verify-full.",
            ),
            key("database.ssl_cert", "\"\"", FILE, "The client certificate, PEM, where the server asks for one."),
            key("database.ssl_key", "\"\"", FILE, "Its private key, PEM."),
            key(
                "database.max_conns",
                "16",
                COUNT,
                "The most connections. Of those to PostgreSQL two are for writes, one is the relay's, and one hears of what other servers \
                 write: it must be 5 at least.",
            ),
            key("database.min_conns", "0", COUNT_OR_0, "How many connections for reads are kept open while nothing needs them."),
            key("database.max_conn_lifetime", "30m", TIMEOUT, "After how long a connection is replaced by a new one."),
            key("database.max_conn_idle_time", "10m", TIMEOUT, "After how long without use a connection beyond min_conns is closed."),
            key(
                "database.connect_timeout",
                "5s",
                TIMEOUT,
                "How long a call waits for a connection, and how long making one may take, before it answers UNAVAILABLE.",
            ),
            key(
                "database.query_timeout",
                "30s",
                TIMEOUT,
                "How long one statement of a read may take before it answers UNAVAILABLE. Those of writes may take 5 s, since they keep \
                 all others waiting.",
            ),
            key(
                "database.max_waiting_writes",
                "1024",
                COUNT_OR_0,
                "The most writes that wait for their turn; more answer RESOURCE_EXHAUSTED.",
            )
            .reloads(),
            key(
                "database.statement_cache",
                "100",
                COUNT_OR_0,
                "Prepared statements kept for each connection. Set 0 behind PgBouncer in transaction mode, unless it keeps them itself \
                 (since 1.21).",
            ),
        ],
    },
    Section {
        name: "cache",
        doc: "What is kept in this process, and in Redis.",
        keys: &[
            key("cache.enabled", "true", SWITCH, "Whether answers are kept in this process."),
            key("cache.max_bytes", "64MiB", SIZE, "How much memory they may take."),
            key(
                "cache.default_ttl",
                "60m",
                TIMEOUT,
                "How long assets, instruments, venues, chains and what is kept like them stay, here and in Redis: a safety net, since \
                 every change takes effect at once. Markets and venue assets stay 15 minutes.",
            ),
            key("cache.host", "\"\"", HOST, "The Redis that replicas share. Empty: none is used.").url(),
            key("cache.port", "6379", SERVERS_PORT, "Its port."),
            key("cache.username", "\"\"", TEXT, "Its user. Empty: the default user."),
            key("cache.password", "\"\"", TEXT, "The user's password. Empty: none.").secret(),
            key("cache.db", "0", COUNT_OR_0, "The number of the database."),
            key(
                "cache.timeout",
                "20ms",
                TIMEOUT,
                "How long a reader waits for Redis before it goes to the database.",
            ),
            key("cache.tls_enabled", "false", SWITCH, "Whether Redis is spoken to over TLS."),
            key("cache.tls_ca_file", "\"\"", FILE, "Who may have signed its certificate, PEM. Empty: who this system trusts."),
            key("cache.tls_cert_file", "\"\"", FILE, "The client certificate, PEM, where Redis asks for one."),
            key("cache.tls_key_file", "\"\"", FILE, "Its private key, PEM."),
            key("cache.max_retries", "3", COUNT_OR_0, "How often a call to Redis is repeated.")
                .ignored("a failed call is a miss, which the database answers sooner than a repetition would"),
            key("cache.min_idle_conns", "5", COUNT_OR_0, "How many connections to Redis are kept open.")
                .ignored("all calls share one connection, which sends them without waiting for each other"),
            key("cache.pool_size", "10", COUNT, "The most connections to Redis.")
                .ignored("all calls share one connection, which sends them without waiting for each other"),
        ],
    },
    Section {
        name: "eventbus",
        doc: "Where events are published.",
        keys: &[
            key("eventbus.backend", "jetstream", "jetstream", "What publishes them, once eventbus.servers names where."),
            key(
                "eventbus.servers",
                "\"\"",
                "host:port, nats://host:port or tls://host:port without credentials, separated by commas",
                "The NATS servers. Empty: events are not published.",
            )
            .url(),
            key(
                "eventbus.stream_name",
                "cqc_events",
                "the name of a stream: letters, digits, `_` and `-`",
                "The JetStream stream; it is created if absent.",
            ),
            key(
                "eventbus.subject_prefix",
                "cqc.events.v1",
                "tokens of letters, digits, `_` and `-`, separated by dots",
                "Events go to PREFIX.TYPE, such as cqc.events.v1.market_listed.",
            ),
            key(
                "eventbus.username",
                "\"\"",
                TEXT,
                "What the NATS servers ask for: username and password, or token, or nkey, or credentials_file.",
            ),
            key("eventbus.password", "\"\"", TEXT, "The user's password.").secret(),
            key("eventbus.token", "\"\"", TEXT, "A token.").secret(),
            key("eventbus.nkey", "\"\"", "the seed of a user's nkey, which begins with SU", "The seed of an nkey.").secret(),
            key("eventbus.credentials_file", "\"\"", FILE, "A .creds file: a JWT and the seed of its nkey."),
            key(
                "eventbus.tls_enabled",
                "false",
                SWITCH,
                "Whether the servers must be spoken to over TLS. One that demands it is spoken to so in any case.",
            ),
            key("eventbus.tls_ca_file", "\"\"", FILE, "Who may have signed their certificates, PEM. Empty: who this system trusts."),
            key("eventbus.tls_cert_file", "\"\"", FILE, "The client certificate, PEM, where they ask for one."),
            key("eventbus.tls_key_file", "\"\"", FILE, "Its private key, PEM."),
            key(
                "eventbus.duplicate_window",
                "2m",
                DURATION,
                "The stream's window for duplicates. That nothing is doubled does not rest on it.",
            ),
            key("eventbus.replicas", "1", "1 to 5", "How many NATS servers keep each message."),
            key("eventbus.consumer_name", "cqar", "letters, digits, `_` and `-`", "The durable consumer's name.").ignored(CONSUMER),
            key("eventbus.max_deliver", "3", COUNT, "How often a message is delivered at most.").ignored(CONSUMER),
            key("eventbus.ack_wait", "30s", TIMEOUT, "After how long a message counts as not acknowledged.").ignored(CONSUMER),
            key("eventbus.max_ack_pending", "1000", COUNT, "The most messages that wait for their acknowledgement.")
                .ignored(CONSUMER),
        ],
    },
    Section {
        name: "plugins",
        doc: "Which plugins run, and within which bounds.",
        keys: &[
            key("plugins.dir", "plugins.d", DIRECTORY, "The directory that is watched for plugins: NAME.wasm serves as the plugin NAME."),
            key(
                "plugins.data_dir",
                "data/plugins",
                DIRECTORY,
                "Where the bytes that last served are kept, so that a damaged file is never an absent rule.",
            ),
            key("plugins.required", "[]", NAMES, "Plugins without which the writes that they subscribe to answer UNAVAILABLE."),
            key("plugins.transforms", "[]", NAMES, "The transforms that the relay to the event bus runs, in this order."),
            key(
                super::PLUGIN_SETTINGS,
                "{}",
                "a map with, for each plugin's name, a map of its settings",
                "The settings of each plugin by its name: `settings: {market-sanity: {max_fee: \"0.02\"}}`.",
            )
            .in_files_alone()
            .reloads(),
            key(
                "plugins.grants",
                "[]",
                "NAME:registry for each plugin that may look up, as a list or separated by commas",
                "Which plugins may look up entities of the registry: [NAME:registry, ...]. A NAME.toml beside the plugin goes before it.",
            )
            .reloads(),
            key(
                "plugins.deadline",
                "250ms",
                TIMEOUT,
                "The time that one call may compute, of which a plugin uses about a millisecond.",
            )
            .reloads(),
            key(
                "plugins.call_timeout",
                "10s",
                TIMEOUT,
                "The time that one call may take in all, with its look-ups and with waiting for a processor of a machine that is busy \
                 with other things.",
            )
            .reloads(),
            key("plugins.output", "8MiB", SIZE, "The bytes that one call may return.").reloads(),
            key("plugins.memory", "64MiB", SIZE, "The memory of one instance.").reloads(),
            key("plugins.concurrency", "8", COUNT, "How many calls of one plugin run at once.").reloads(),
            key("plugins.reuse_memory", "32MiB", SIZE, "An instance that grew beyond this is not used again.").reloads(),
            key(
                "plugins.memory_budget",
                "2GiB",
                SIZE,
                "What all instances together, and their machine code, may have: each plugin is guaranteed one instance at its limit, and \
                 what is beyond gives way where it waits, or answers UNAVAILABLE. The one instance that reads listings has 512 MiB of its \
                 own.",
            ),
            key(
                "plugins.trust",
                "any",
                "any or signed",
                "Whose plugins may serve: any that lie in the directory, or those signed by one of trusted_keys (NAME.wasm.minisig).",
            ),
            key(
                "plugins.trusted_keys",
                "[]",
                "minisign public keys, as a list or separated by commas",
                "The minisign keys, one of which must have signed each plugin.",
            ),
            key(
                "plugins.compile_memory",
                "2GiB",
                SIZE,
                "Plugins are compiled by a process of their own, which may take this much address space, or what the container has left.",
            ),
            key(
                "plugins.compiled_dir",
                "\"\"",
                "a directory, or empty",
                "Where what it made is kept: a directory that must be the server's alone (mode 0700). Empty: compiled/ in data_dir.",
            ),
        ],
    },
    Section {
        name: "auth",
        doc: "Who may call.",
        keys: &[
            key(
                "auth.api_keys",
                "\"\"",
                "KEY:NAME pairs, separated by commas; names of letters, digits, `_`, `-`, `.` and `@`",
                "KEY:NAME pairs, separated by commas. The name is the actor in the event log, and may do everything. Nobody here nor in the \
                 keys_file and keys_dir: everyone on this machine may call and nobody else; in production and staging the start is then refused.",
            )
            .secret()
            .reloads(),
            key(
                "auth.keys_file",
                "\"\"",
                FILE,
                "A YAML list of callers: {name: desk-1, sha256: HEX, scopes: [read, write:MarketService], expires: 2027-01-31T00:00:00Z, \
                 limits: {requests_per_second: 100}}, or certificate: NAME in place of sha256. `cqar key new` makes entries.",
            )
            .reloads(),
            key(
                "auth.keys_dir",
                "\"\"",
                "the path of a directory, or empty",
                "A directory, as a Secret is mounted: the file cqmd-key has the key of the caller cqmd, who may do everything; or several, one \
                 a line, while it is replaced.",
            )
            .reloads(),
            key(
                "auth.requests_per_second",
                "0",
                COUNT_OR_0,
                "How many calls a caller may begin within a second, unless its entry in auth.keys_file says otherwise. 0: any number.",
            )
            .reloads(),
            key("auth.concurrent_calls", "4096", COUNT, "How many calls of a caller may be unanswered at once, streams apart.").reloads(),
            key("auth.streams", "1024", COUNT, "How many streams a caller may have open.").reloads(),
            key(
                "auth.bytes_in_flight",
                "32MiB",
                SIZE,
                "How many bytes of a caller's requests may be unanswered at once. All callers together may have 64MiB.",
            )
            .reloads(),
        ],
    },
    Section {
        name: "log",
        doc: "What is logged, to the standard error.",
        keys: &[
            key(
                "log.level",
                "info",
                "off, error, warn, info, debug or trace, or directives such as info,cqar_store=debug",
                "error, warn, info, debug, trace or off; or several, by module: info,cqar_store=debug.",
            )
            .reloads(),
            key("log.format", "auto", "auto, json or text", "text, json, or auto: text on a terminal, json elsewhere."),
            key("log.add_caller", "false", SWITCH, "Whether each line says from which file and line of the code it is."),
        ],
    },
    Section {
        name: "metrics",
        doc: "What Prometheus scrapes.",
        keys: &[
            key("metrics.enabled", "true", SWITCH, "Whether /metrics is served."),
            key("metrics.port", "9091", PORT, "The port of /metrics. 0 takes a free one."),
        ],
    },
    Section {
        name: "tracing",
        doc: "Which spans are sent, and where.",
        keys: &[
            key("tracing.enabled", "false", SWITCH, "Whether spans are sent, by OTLP over gRPC."),
            key(
                "tracing.endpoint",
                "127.0.0.1:4317",
                "HOST:PORT, or an http:// or https:// URL",
                "The collector. https:// speaks TLS, anything else plaintext.",
            )
            .url(),
            key("tracing.sample_rate", "0.01", "a number from 0 to 1", "The share of requests that is traced."),
            key("tracing.tls_ca_file", "\"\"", FILE, "Who may have signed the collector's certificate, PEM. Empty: who this system trusts."),
            key("tracing.tls_cert_file", "\"\"", FILE, "The client certificate, PEM, where it asks for one."),
            key("tracing.tls_key_file", "\"\"", FILE, "Its private key, PEM."),
        ],
    },
];

const fn key(path: &'static str, default: &'static str, allowed: &'static str, doc: &'static str) -> Key {
    Key::new(path, default, allowed, doc)
}
