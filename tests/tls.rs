//! TLS and credentials: each `sslmode` does exactly what it says, and what
//! libpq's users keep in files and variables works here as well.

pub mod authority;
/// The tests' server once more, as a process of its own.
#[allow(dead_code, clippy::duplicate_mod)]
#[path = "support/postgres.rs"]
mod second_server;
mod server;

use self::authority::{Authority, PRIVATE, PUBLIC};
use self::server::{
    CERTIFIED, ENCRYPTED, PASSWORD, PLAIN, RIGHT_NAME, ROTATING, SecretDatabase, WRONG_NAME,
    authority,
};
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::host::{Host, Run};
use crate::support::login::Login;
use crate::support::queue::Queue;
// The server's file looks for these beside itself.
use crate::support::{account, block_on, patience, pause, spawn, supervised};
use crate::support::{deserted_address, guest};

/// How many messages a test sends at once.
const MESSAGES: i64 = 3;

/// One test's queue, database and home.
struct Scene {
    queue: Queue,
    database: SecretDatabase,
    home: Folder,
}

impl Scene {
    fn new(test: &str) -> Scene {
        let scene = Scene {
            queue: Queue::impatient(),
            database: SecretDatabase::new(),
            home: Folder::new("home"),
        };
        scene.send(test);
        scene
    }

    fn send(&self, test: &str) {
        let logins = Login::several(test, MESSAGES as usize);
        let bodies: Vec<String> = logins.iter().map(Login::body).collect();
        self.queue.send(&bodies);
    }

    fn host(&self) -> Host {
        Host::bare()
            .option("--transform", guest("sha256_mask.wasm"))
            .option("--queue-url", &self.queue.url)
            .word("--create-table")
            .env("AWS_ENDPOINT_URL_SQS", &self.queue.endpoint)
            .env("HOME", self.home.path())
    }

    fn connecting(&self, role: &str, host: &str, options: &str) -> Host {
        self.host()
            .option("--database-url", self.database.url(role, host, options))
            .env("PGPASSWORD", PASSWORD)
    }

    #[track_caller]
    fn loads(&self, host: Host) {
        host.until_empty().run().exited(0).never_says(PASSWORD);
        assert_eq!(self.database.count(), MESSAGES, "rows in the table");
        self.queue.assert_empty();
    }

    /// It ends as a configuration fault, and nothing was received.
    #[track_caller]
    fn refuses(&self, host: Host) -> Run {
        let run = host.until_empty().run().exited(78).never_says(PASSWORD);
        assert_eq!(self.queue.calls("ReceiveMessage"), 0);
        run
    }
}

#[test]
fn disable_speaks_plain_text_to_a_server_that_could_do_better() {
    let scene = Scene::new("disable");
    let options = "sslmode=disable";
    let refused = scene.connecting(ENCRYPTED, RIGHT_NAME, options);
    scene.refuses(refused).says(&["28000", "no encryption"]);
    scene.loads(scene.connecting(PLAIN, RIGHT_NAME, options));
}

#[test]
fn require_encrypts_and_believes_whoever_answers() {
    let scene = Scene::new("require");
    let options = "sslmode=require";
    let refused = scene.connecting(PLAIN, WRONG_NAME, options);
    scene.refuses(refused).says(&["28000", "SSL encryption"]);
    scene.loads(scene.connecting(ENCRYPTED, WRONG_NAME, options));
}

/// A statement that takes too long, for as long as the trigger is there.
const SLOW: &str = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
    CREATE TRIGGER wait BEFORE INSERT ON user_logins
        FOR EACH STATEMENT EXECUTE FUNCTION wait()";

#[test]
fn a_statement_that_is_given_up_is_cancelled_over_tls() {
    let scene = Scene::new("cancelled");
    let host = || scene.connecting(ENCRYPTED, RIGHT_NAME, "sslmode=require");
    scene.loads(host());
    scene.database.execute("TRUNCATE user_logins");
    scene.database.execute(SLOW);
    scene.send("cancelled_later");
    let mut running = host().option("--statement-secs-max", "1").start();
    running.wait_until("the statement is cancelled", || {
        let complaint = "canceling statement due to user request";
        scene.database.has_logged(complaint)
    });
    scene.database.execute("DROP TRIGGER wait ON user_logins");
    running.wait_until("all is stored", || scene.database.count() == MESSAGES);
    running.terminate();
    running.finish().exited(0);
}

#[test]
fn require_asks_for_the_authority_that_the_user_keeps() {
    let scene = Scene::new("require_kept");
    let kept = ".postgresql/root.crt";
    let host = || scene.connecting(ENCRYPTED, WRONG_NAME, "sslmode=require");
    scene
        .home
        .keep(kept, &Authority::new("other").pem(), PUBLIC);
    scene
        .refuses(host())
        .says(&["UnknownIssuer", "sslrootcert"]);
    scene.home.keep(kept, &authority().pem(), PUBLIC);
    scene.loads(host());
}

#[test]
fn verify_ca_refuses_an_unknown_issuer_and_takes_any_name() {
    let scene = Scene::new("verify_ca");
    let with = |file: &str| {
        let options = format!("sslmode=verify-ca&sslrootcert={}", file.replace('/', "%2f"));
        scene.connecting(ENCRYPTED, WRONG_NAME, &options)
    };
    let unknown = Authority::new("unknown").pem();
    let unknown = scene.home.keep("an unknown.crt", &unknown, PUBLIC);
    scene
        .refuses(with(&unknown))
        .says(&["UnknownIssuer", "sslrootcert"]);
    let right = scene.home.keep("a right.crt", &authority().pem(), PUBLIC);
    scene.loads(with(&right));
}

#[test]
fn verify_full_refuses_a_wrong_name_and_takes_the_right_one() {
    let scene = Scene::new("verify_full");
    let file = scene.home.keep("root.crt", &authority().pem(), PUBLIC);
    let options = format!("sslmode=verify-full&sslrootcert={file}");
    let wrong = scene.connecting(ENCRYPTED, WRONG_NAME, &options);
    scene
        .refuses(wrong)
        .says(&["localhost", "subjectAltName", "verify-full"]);
    scene.loads(scene.connecting(ENCRYPTED, RIGHT_NAME, &options));
}

#[test]
fn verify_full_trusts_the_platforms_authorities_where_none_are_named() {
    let scene = Scene::new("platform");
    let host = |authority: &str| {
        let file = scene.home.keep("platform.crt", authority, PUBLIC);
        scene
            .connecting(ENCRYPTED, RIGHT_NAME, "sslmode=verify-full")
            .env("SSL_CERT_FILE", file)
    };
    scene
        .refuses(host(&Authority::new("other").pem()))
        .says(&["UnknownIssuer"]);
    scene.loads(host(&authority().pem()));
}

#[test]
fn a_server_without_tls_is_refused_whatever_is_to_be_verified() {
    let scene = Scene::new("without_tls");
    let plain = Database::empty();
    let file = scene.home.keep("root.crt", &authority().pem(), PUBLIC);
    for mode in ["require", "verify-ca", "verify-full"] {
        let options = format!("sslmode={mode}&sslrootcert={file}");
        let url = plain.url().replace("sslmode=disable", &options);
        let host = scene.host().option("--database-url", url);
        scene.refuses(host).says(&["speaks no TLS", "sslmode"]);
    }
}

#[test]
fn a_client_certificate_opens_the_door_that_demands_one() {
    let scene = Scene::new("client_certificate");
    let options = "sslmode=require";
    let host = || scene.connecting(CERTIFIED, RIGHT_NAME, options);
    scene.refuses(host()).says(&["client certificate"]);

    let of_client = authority().issue(CERTIFIED);
    let certificate = scene
        .home
        .keep("client.crt", &of_client.certificate, PUBLIC);
    let key = scene.home.keep("client.key", &of_client.key, PUBLIC);
    let named = || host().env("PGSSLCERT", &certificate).env("PGSSLKEY", &key);
    // root may read a key of its own group, nobody else's.
    scene.refuses(named()).says(&["client.key", "0600"]);
    scene.home.keep("client.key", &of_client.key, PRIVATE);
    scene.loads(named());

    let of_another = authority().issue("somebody_else");
    scene
        .home
        .keep("client.crt", &of_another.certificate, PUBLIC);
    scene.home.keep("client.key", &of_another.key, PRIVATE);
    let run = named().until_empty().run().exited(78);
    run.says(&["28000", CERTIFIED]);
}

#[test]
fn a_client_certificate_is_found_where_libpq_finds_it() {
    let scene = Scene::new("kept_certificate");
    let of_client = authority().issue(CERTIFIED);
    let keep = |name: &str, text: &str, mode| scene.home.keep(name, text, mode);
    keep(".postgresql/postgresql.crt", &of_client.certificate, PUBLIC);
    let without_key = scene.connecting(CERTIFIED, RIGHT_NAME, "sslmode=require");
    scene.refuses(without_key).says(&["postgresql.key"]);
    keep(".postgresql/postgresql.key", &of_client.key, PRIVATE);
    keep(".postgresql/root.crt", &authority().pem(), PUBLIC);
    scene.loads(scene.connecting(CERTIFIED, RIGHT_NAME, "sslmode=verify-full"));
}

#[test]
fn the_variables_and_the_files_of_libpq_are_enough() {
    let scene = Scene::new("variables");
    let port = scene.database.port();
    let service = format!("[logins]\nhost={RIGHT_NAME}\nport={port}\nsslmode=verify-full\n");
    scene.home.keep(".pg_service.conf", &service, PUBLIC);
    scene
        .home
        .keep(".postgresql/root.crt", &authority().pem(), PUBLIC);
    let password = format!("{RIGHT_NAME}:{port}:*:{ENCRYPTED}:{PASSWORD}");
    let host = || {
        scene
            .host()
            .env("PGSERVICE", "logins")
            .env("PGDATABASE", scene.database.name())
            .env("PGUSER", ENCRYPTED)
            // The service file comes first.
            .env("PGPORT", "1")
            .env("PGSSLMODE", "disable")
    };
    scene.refuses(host()).says(&["password", ".pgpass"]);
    scene.home.keep(".pgpass", &password, PUBLIC);
    scene.refuses(host()).says(&["password", "0600"]);
    scene.home.keep(".pgpass", &password, PRIVATE);
    scene.loads(host());
}

#[test]
fn the_next_host_is_tried_where_one_is_away_or_not_believed() {
    let scene = Scene::new("hosts");
    let file = scene.home.keep("root.crt", &authority().pem(), PUBLIC);
    let (away, port) = (deserted_address(), scene.database.port());
    let hosts = |last: &str| {
        let name = scene.database.name();
        let hosts = format!("{WRONG_NAME}:{port},{away},{last}:{port}");
        let options = format!("sslmode=verify-full&sslrootcert={file}");
        let url = format!("postgres://{ENCRYPTED}@{hosts}/{name}?{options}");
        scene
            .host()
            .option("--database-url", url)
            .env("PGPASSWORD", PASSWORD)
    };
    // One that is away may come back, so it is waited for.
    let run = hosts(WRONG_NAME).option("--startup-wait-secs", "1");
    let run = run.until_empty().run().exited(69);
    run.says(&[&away]).never_says(PASSWORD);
    scene.loads(hosts(RIGHT_NAME));
}

#[test]
fn a_rotated_password_is_read_from_its_file_without_a_restart() {
    let scene = Scene::new("rotated");
    let new = "invented-new-password";
    let keep = |password: &str| {
        let line = format!("*:*:*:{ROTATING}:{password}");
        scene.home.keep(".pgpass", &line, PRIVATE)
    };
    keep(PASSWORD);
    let url = scene.database.url(ROTATING, RIGHT_NAME, "sslmode=require");
    let mut host = scene.host().option("--database-url", url).start();
    host.wait_until("the first messages are stored", || {
        scene.database.count() == MESSAGES
    });

    scene.database.administer(&[
        &format!("ALTER ROLE {ROTATING} PASSWORD '{new}'"),
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROTATING}'"
        ),
    ]);
    scene.send("rotated_later");
    let complaint = format!("password authentication failed for user \"{ROTATING}\"");
    host.wait_until("the old password is refused", || {
        scene.database.server_has_logged(&complaint)
    });
    keep(new);
    host.wait_until("the rest is stored", || {
        scene.database.count() == 2 * MESSAGES
    });
    host.terminate();
    let run = host.finish().exited(0);
    run.never_says(PASSWORD).never_says(new);
}
