//! SQL for PostgreSQL and SQLite behind one API: revisions, the event log, migrations.
