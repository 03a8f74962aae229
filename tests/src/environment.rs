//! What a server runs with: alone, or with everything around it. Every end-to-end test runs in both.

use crate::{nats::Nats, postgres::Postgres, redis_server::RedisServer, server::Options};

/// The servers around the registry. End with it.
pub struct TestEnvironment {
    everything: Option<(Postgres, RedisServer, Nats)>,
}

impl TestEnvironment {
    /// SQLite, with the cache and the event bus off.
    pub fn none() -> Self {
        Self { everything: None }
    }

    /// PostgreSQL, Redis and NATS, and the cache in the process on.
    pub fn all() -> Self {
        Self { everything: Some((Postgres::start(), RedisServer::start(), Nats::start())) }
    }

    /// Options of a server in this environment; the database is migrated.
    pub fn options(&self) -> Options {
        let options = Options::new();
        let Some((postgres, redis, nats)) = &self.everything else {
            return options.with("CACHE_ENABLED", false);
        };
        let options = options
            .with("DATABASE_URL", postgres.url())
            .with("CACHE_HOST", "127.0.0.1")
            .with("CACHE_PORT", redis.port())
            .with("EVENTBUS_SERVERS", nats.address())
            .with("PLUGINS_TRANSFORMS", "route-by-venue");
        options.migrate_up();
        options
    }

    /// The event bus, where there is one.
    pub fn nats(&self) -> Option<&Nats> {
        self.everything.as_ref().map(|(_, _, nats)| nats)
    }
}

/// Runs tests, each a function of its environment, alone and with everything around.
#[macro_export]
macro_rules! in_both_environments {
    ($($name:ident)*) => {
        mod alone {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::environment::TestEnvironment::none()).await;
            })*
        }
        mod with_everything {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::environment::TestEnvironment::all()).await;
            })*
        }
    };
}
