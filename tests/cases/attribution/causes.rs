//! The table of causes: each SQLSTATE as one record meets it among others that
//! are stored, and as everybody meets it. Real causes where there are any, a
//! trigger that raises the code otherwise.

/// One way to meet a SQLSTATE.
pub struct Side {
    /// In words, for the page.
    pub what: &'static str,
    /// What brings it about.
    pub sql: &'static str,
    /// A table that somebody else locks meanwhile.
    pub locks: Option<&'static str>,
    /// What ends it.
    pub mend: &'static str,
    /// The table, column or constraint that the host has to name.
    pub named: &'static str,
}

/// A SQLSTATE with its two sides. The odd record has `odd` for its device and
/// no locale; no other record has.
pub struct Cause {
    pub name: &'static str,
    pub sqlstate: &'static str,
    /// A setting of the database under which the host runs.
    pub setting: Option<&'static str>,
    pub one: Side,
    pub all: Side,
}

/// What the host names where PostgreSQL names nothing.
const TARGET: &str = "public.user_logins";

const fn side(what: &'static str, sql: &'static str, mend: &'static str) -> Side {
    Side {
        what,
        sql,
        locks: None,
        mend,
        named: TARGET,
    }
}

impl Side {
    const fn naming(mut self, named: &'static str) -> Side {
        self.named = named;
        self
    }

    const fn locking(mut self, table: &'static str) -> Side {
        self.locks = Some(table);
        self
    }
}

/// A row trigger with this body, for the rows of which the condition holds.
macro_rules! trigger {
    ($condition:literal, $($body:tt)+) => {
        concat!(
            "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ",
            $($body)+,
            "; RETURN NEW; END $$; CREATE TRIGGER meet BEFORE INSERT ON user_logins ",
            "FOR EACH ROW WHEN (",
            $condition,
            ") EXECUTE FUNCTION meet()"
        )
    };
}

macro_rules! for_one {
    ($($body:tt)+) => {
        trigger!("NEW.device_type = 'odd'", $($body)+)
    };
}

macro_rules! for_all {
    ($($body:tt)+) => {
        trigger!("true", $($body)+)
    };
}

const NO_TRIGGER: &str = "DROP FUNCTION meet CASCADE";
const RAISED: &str = "a trigger raises it for the row";
const RAISED_ALWAYS: &str = "a trigger raises it for every row";

/// A code that a trigger raises.
macro_rules! raised {
    ($name:literal, $sqlstate:literal) => {
        Cause {
            name: $name,
            sqlstate: $sqlstate,
            setting: None,
            one: side(
                RAISED,
                for_one!(concat!(
                    "RAISE 'invented' USING ERRCODE = '",
                    $sqlstate,
                    "'"
                )),
                NO_TRIGGER,
            ),
            all: side(
                RAISED_ALWAYS,
                for_all!(concat!(
                    "RAISE 'invented' USING ERRCODE = '",
                    $sqlstate,
                    "'"
                )),
                NO_TRIGGER,
            ),
        }
    };
}

pub const CAUSES: [Cause; 18] = [
    Cause {
        name: "dropped rows",
        sqlstate: "21000",
        setting: None,
        one: side(
            "a trigger drops the row",
            for_one!("RETURN NULL"),
            NO_TRIGGER,
        ),
        all: side(
            "a trigger drops every row",
            for_all!("RETURN NULL"),
            NO_TRIGGER,
        )
        .naming("a trigger, rule or row-level policy drops rows"),
    },
    Cause {
        name: "number out of range",
        sqlstate: "22003",
        setting: None,
        one: side(
            "a number beyond a smallint",
            "ALTER TABLE user_logins ADD size smallint GENERATED ALWAYS AS
                 (CASE device_type WHEN 'odd' THEN 40000 ELSE 1 END) STORED",
            "ALTER TABLE user_logins DROP size",
        ),
        all: side(
            "a smallserial has outgrown its type",
            "CREATE SEQUENCE numbers START 40000;
             ALTER TABLE user_logins ADD number smallint;
             ALTER TABLE user_logins ALTER number SET DEFAULT nextval('numbers')",
            "ALTER TABLE user_logins ALTER number TYPE bigint",
        ),
    },
    Cause {
        name: "sequence used up",
        sqlstate: "2200H",
        setting: None,
        one: side(
            "a trigger draws from a sequence that is used up, for the row",
            concat!(
                "CREATE SEQUENCE few MAXVALUE 2; SELECT nextval('few'), nextval('few'); ",
                for_one!("PERFORM nextval('few')")
            ),
            NO_TRIGGER,
        ),
        all: side(
            "a column's default draws from a sequence that is used up",
            "CREATE SEQUENCE numbers MAXVALUE 2; SELECT nextval('numbers'), nextval('numbers');
             ALTER TABLE user_logins ADD number bigint;
             ALTER TABLE user_logins ALTER number SET DEFAULT nextval('numbers')",
            "ALTER SEQUENCE numbers MAXVALUE 1000000",
        ),
    },
    Cause {
        name: "null refused",
        sqlstate: "23502",
        setting: None,
        one: side(
            "a null in a column that takes none",
            "ALTER TABLE user_logins ALTER locale SET NOT NULL",
            "ALTER TABLE user_logins ALTER locale DROP NOT NULL",
        )
        .naming("locale"),
        all: side(
            "a NOT NULL column is added while the host runs",
            "ALTER TABLE user_logins ADD tenant text NOT NULL DEFAULT 'before';
             ALTER TABLE user_logins ALTER tenant DROP DEFAULT",
            "ALTER TABLE user_logins ALTER tenant SET DEFAULT 'ours'",
        )
        .naming("column tenant"),
    },
    Cause {
        name: "key taken",
        sqlstate: "23505",
        setting: None,
        one: side(
            "a unique key is taken",
            "CREATE UNIQUE INDEX one_odd ON user_logins (device_type) WHERE device_type = 'odd';
             INSERT INTO user_logins (user_id, device_type) VALUES ('first', 'odd')",
            "DELETE FROM user_logins WHERE user_id = 'first'; DROP INDEX one_odd",
        )
        .naming("one_odd"),
        all: side(
            "a sequence lags behind its unique column",
            "CREATE SEQUENCE numbers MAXVALUE 10 CYCLE;
             ALTER TABLE user_logins ADD number bigint;
             UPDATE user_logins SET number = n FROM
                 (SELECT ctid AS place, row_number() OVER () AS n FROM user_logins) AS numbered
                 WHERE ctid = place;
             CREATE UNIQUE INDEX numbered ON user_logins (number);
             ALTER TABLE user_logins ALTER number SET DEFAULT nextval('numbers')",
            "ALTER SEQUENCE numbers MAXVALUE 1000000 NO CYCLE RESTART 1000",
        )
        .naming("constraint numbered"),
    },
    Cause {
        name: "check violated",
        sqlstate: "23514",
        setting: None,
        one: side(
            "a check refuses the row",
            "ALTER TABLE user_logins ADD CONSTRAINT even CHECK (device_type <> 'odd') NOT VALID",
            "ALTER TABLE user_logins DROP CONSTRAINT even",
        )
        .naming("even"),
        all: side(
            "a check refuses every row of today",
            "ALTER TABLE user_logins ADD CONSTRAINT of_old
                 CHECK (create_date < DATE '2020-01-01') NOT VALID",
            "ALTER TABLE user_logins DROP CONSTRAINT of_old",
        )
        .naming("constraint of_old"),
    },
    raised!("serialization failure", "40001"),
    Cause {
        name: "grant missing",
        sqlstate: "42501",
        setting: None,
        one: side(
            "a trigger reads a table that the role may not, for the row",
            concat!(
                "CREATE TABLE secret (n int); REVOKE ALL ON secret FROM CURRENT_USER; ",
                for_one!("PERFORM FROM secret")
            ),
            "DROP FUNCTION meet CASCADE; DROP TABLE secret",
        ),
        all: side(
            "the grant on the table is revoked",
            "REVOKE INSERT ON user_logins FROM CURRENT_USER",
            "GRANT INSERT ON user_logins TO CURRENT_USER",
        ),
    },
    Cause {
        name: "row-level security",
        sqlstate: "42501",
        setting: None,
        one: side(
            "row-level security refuses the row",
            "ALTER TABLE user_logins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY even ON user_logins USING (true) WITH CHECK (device_type <> 'odd')",
            "DROP POLICY even ON user_logins;
             ALTER TABLE user_logins NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
        ),
        all: side(
            "row-level security refuses every row",
            "ALTER TABLE user_logins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY nobody ON user_logins USING (true) WITH CHECK (false)",
            "DROP POLICY nobody ON user_logins;
             ALTER TABLE user_logins NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
        ),
    },
    Cause {
        name: "table missing",
        sqlstate: "42P01",
        setting: None,
        one: side(
            "a trigger writes to a table that is not there, for the row",
            for_one!("INSERT INTO audit VALUES (1)"),
            NO_TRIGGER,
        ),
        all: side(
            "a trigger writes to a table that is not there, for every row",
            for_all!("INSERT INTO audit VALUES (1)"),
            "CREATE TABLE audit (n int)",
        ),
    },
    Cause {
        name: "identity column",
        sqlstate: "428C9",
        setting: None,
        one: side(
            "a trigger numbers a row that numbers itself, for the row",
            concat!(
                "CREATE TABLE own_numbers (id bigint GENERATED ALWAYS AS IDENTITY); ",
                for_one!("INSERT INTO own_numbers VALUES (1)")
            ),
            NO_TRIGGER,
        ),
        all: side(
            "a column becomes an identity column while the host runs",
            "ALTER TABLE user_logins ALTER app_version SET NOT NULL,
                 ALTER app_version ADD GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE user_logins ALTER app_version SET GENERATED BY DEFAULT",
        ),
    },
    raised!("disk full", "53100"),
    Cause {
        name: "limit exceeded",
        sqlstate: "54000",
        setting: None,
        one: side(
            "a value too large for its index",
            "CREATE FUNCTION bulk(of text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
                 SELECT string_agg(md5(n::text), '') FROM generate_series(1,
                     CASE of WHEN 'odd' THEN 1000 ELSE 1 END) n $$;
             CREATE INDEX bulky ON user_logins (bulk(device_type))",
            "DROP INDEX bulky",
        ),
        all: side(
            "an index over what is always too large",
            "CREATE INDEX bulky ON user_logins (bulk(device_type));
             CREATE OR REPLACE FUNCTION bulk(of text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
                 SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n $$",
            "DROP INDEX bulky",
        ),
    },
    Cause {
        name: "not in this state",
        sqlstate: "55000",
        setting: None,
        one: side(
            "a trigger asks for the last number of an unused sequence, for the row",
            concat!(
                "CREATE SEQUENCE unused; ",
                for_one!("PERFORM currval('unused')")
            ),
            "DROP FUNCTION meet CASCADE; DROP SEQUENCE unused",
        ),
        all: side(
            "a trigger asks for the last number of an unused sequence, for every row",
            concat!(
                "CREATE SEQUENCE unused; ",
                for_all!("PERFORM currval('unused')")
            ),
            NO_TRIGGER,
        ),
    },
    Cause {
        name: "lock timeout",
        sqlstate: "55P03",
        setting: Some("lock_timeout = '300ms'"),
        one: side(
            "a trigger wants a lock that somebody holds, for the row",
            concat!(
                "CREATE TABLE latch (n int); ",
                for_one!("LOCK TABLE latch IN SHARE MODE")
            ),
            NO_TRIGGER,
        )
        .locking("latch"),
        all: side("somebody keeps the table locked", "SELECT 1", "SELECT 1").locking("user_logins"),
    },
    Cause {
        name: "statement timeout",
        sqlstate: "57014",
        setting: Some("statement_timeout = '2s'"),
        one: side(
            RAISED,
            for_one!("RAISE 'invented' USING ERRCODE = '57014'"),
            NO_TRIGGER,
        ),
        all: side("somebody keeps the table locked", "SELECT 1", "SELECT 1").locking("user_logins"),
    },
    raised!("a trigger's own", "P0001"),
    raised!("internal error", "XX000"),
];

/// The cause of this name.
pub fn cause(name: &str) -> &'static Cause {
    static ALL: [Cause; 18] = CAUSES;
    let found = ALL.iter().find(|cause| cause.name == name);
    found.expect("the table has it")
}
