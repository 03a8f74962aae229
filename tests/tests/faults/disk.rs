//! A disk that fills and is freed again, under a load of writes.

use cqar_proto::v1::component::State;
use cqar_tests::{
    postgres::Postgres,
    server::{Options, Server},
    small_disk::SmallDisk,
};

use crate::writers::{self, Writers, becomes, lines, told};

/// Of the disks, in mebibytes. The writers do not fill it by themselves in the seconds that a round lasts (1.5 KiB a write).
const SIZE: u32 = 192;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_goes_on_when_its_disk_is_freed() {
    let Some(disk) = SmallDisk::mount(SIZE) else { return };
    let url = format!("sqlite://{}/cqar.db", disk.path().display());
    fills_and_is_freed(Options::new().with("DATABASE_URL", url).start().await, &disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_goes_on_when_its_disk_is_freed() {
    let Some(disk) = SmallDisk::mount(SIZE) else { return };
    let space = disk.path().join("space");
    std::fs::create_dir(&space).unwrap();
    let postgres = Postgres::start_in(&space);
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    fills_and_is_freed(options.start().await, &disk).await;
}

async fn fills_and_is_freed(server: Server, disk: &SmallDisk) {
    let writers = Writers::start(&server, 4).await;
    writers.go_on(20).await;
    becomes(&server, State::Ok).await;
    for round in 0..2 {
        disk.fill();
        let why = becomes(&server, State::Degraded).await;
        assert!(why.contains("writes fail"), "{why}");
        assert!(why.contains("full") || why.contains("space"), "the reason is the disk's: {why}");
        let refused = writers.refused();
        cqar_tests::collect::until("writes are refused", async || (writers.refused() > refused + 20).then_some(()))
            .await;
        let acknowledged = writers.acknowledged();
        told(&server, "database_writes_fail", round + 1).await;

        disk.free();
        let began = std::time::Instant::now();
        writers.go_on(20).await;
        println!("round {round}: {acknowledged} writes before, the next 20 within {:?} of the space", began.elapsed());
        becomes(&server, State::Ok).await;
        told(&server, "database_writes_work_again", round + 1).await;
    }
    writers::check(&server, &writers.end().await).await;
    let internal = lines(&server, "call failed");
    assert!(internal.is_empty(), "{internal:?}");
}
