/**
 * The tables of the state database and how one is opened. A database that is damaged, of a newer version, or not ours is refused
 * and left byte for byte as it is.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import Database from "libsql";
import { SluiceError } from "../../shared/errors.ts";
import { makeFolder } from "../folder.ts";

/** Marks a file as a state database of Sluice ("Slce"). */
const APPLICATION_ID = 0x536c_6365;

/** Entry n leads from version n to n + 1. Append only. */
const migrations: readonly string[] = [
  `CREATE TABLE leases (
     id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, detached INTEGER NOT NULL, secret BLOB,
     requested_at INTEGER NOT NULL, granted_at INTEGER NOT NULL, ends_at INTEGER,
     ended_at INTEGER, end_code TEXT, end_message TEXT,
     calls INTEGER NOT NULL DEFAULT 0, batches INTEGER NOT NULL DEFAULT 0, answers INTEGER NOT NULL DEFAULT 0,
     bytes_received INTEGER NOT NULL DEFAULT 0, bytes_sent INTEGER NOT NULL DEFAULT 0, device_ms REAL NOT NULL DEFAULT 0
   ) WITHOUT ROWID;
   CREATE TABLE slices (
     lease_id TEXT NOT NULL REFERENCES leases (id), slice_index INTEGER NOT NULL, device_id TEXT NOT NULL,
     bytes INTEGER NOT NULL, overhead_bytes INTEGER NOT NULL, PRIMARY KEY (lease_id, slice_index)
   ) WITHOUT ROWID;
   CREATE INDEX open_leases ON leases (granted_at) WHERE ended_at IS NULL;
   CREATE INDEX ended_leases ON leases (ended_at);
   CREATE TABLE requests (id TEXT PRIMARY KEY, requested_at INTEGER NOT NULL, request TEXT NOT NULL) WITHOUT ROWID;`,
  `CREATE TABLE cordons (device_id TEXT PRIMARY KEY, message TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE tenants (tenant TEXT PRIMARY KEY, weight REAL NOT NULL, quota TEXT NOT NULL) WITHOUT ROWID;`,
  `CREATE TABLE tokens (
     id TEXT PRIMARY KEY, hash BLOB NOT NULL, tenant TEXT NOT NULL, role TEXT NOT NULL, note TEXT NOT NULL,
     created_at INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER, used_at INTEGER
   ) WITHOUT ROWID;
   CREATE TABLE events (
     id INTEGER PRIMARY KEY, at INTEGER NOT NULL, tenant TEXT NOT NULL, token_id TEXT NOT NULL, address TEXT NOT NULL,
     action TEXT NOT NULL, details TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL
   );
   CREATE INDEX events_by_time ON events (at);
   CREATE INDEX refusals ON events (id) WHERE outcome IN ('UNAUTHENTICATED', 'ADMIN_ONLY');`,
  `CREATE TABLE reservations (id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, reservation TEXT NOT NULL) WITHOUT ROWID;
   ALTER TABLE leases ADD COLUMN reservation TEXT;`,
  // Versions before this one forgot their queue at every start.
  `DROP TABLE requests;
   CREATE TABLE requests (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, request TEXT NOT NULL);
   ALTER TABLE leases ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
   ALTER TABLE leases ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE leases ADD COLUMN idle_ms INTEGER;`,
  `CREATE TABLE past_sizes (
     lease_id TEXT NOT NULL REFERENCES leases (id), slice_index INTEGER NOT NULL, until_at INTEGER NOT NULL, bytes INTEGER NOT NULL
   );
   CREATE INDEX past_sizes_by_lease ON past_sizes (lease_id);`,
  `CREATE TABLE samples (
     step_ms INTEGER NOT NULL, slot INTEGER NOT NULL, at INTEGER NOT NULL, sample TEXT NOT NULL, PRIMARY KEY (step_ms, slot)
   ) WITHOUT ROWID;`,
  "ALTER TABLE leases ADD COLUMN ends_with TEXT",
  "ALTER TABLE leases ADD COLUMN secret_hash BLOB",
  "ALTER TABLE cordons ADD COLUMN code TEXT NOT NULL DEFAULT 'DEVICE_CORDONED'",
  `DROP INDEX refusals;
   CREATE INDEX refusals ON events (id) WHERE outcome IN ('UNAUTHENTICATED', 'ADMIN_ONLY', 'READ_ONLY');`,
  "ALTER TABLE leases ADD COLUMN token_id TEXT",
  // `is_parked`: the memory is saved on the host, so that it holds little but the overhead.
  `ALTER TABLE leases ADD COLUMN suspension TEXT;
   ALTER TABLE leases ADD COLUMN is_parked INTEGER NOT NULL DEFAULT 0;`,
  "ALTER TABLE slices ADD COLUMN compute INTEGER NOT NULL DEFAULT 0",
  // What its lease holds of it while it is parked: what modules have.
  "ALTER TABLE slices ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0",
];

/** The version that this program reads and writes. */
export const SCHEMA_VERSION = migrations.length;

const unreadable = (path: string, why: string): SluiceError =>
  new SluiceError("STORE_UNREADABLE", `The state database [${path}] cannot be used: ${why}. It is left untouched.`);

const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Looks at the first bytes alone, so that a foreign file is never even opened as a database. What is no file might never give them. */
function checkHeader(path: string): void {
  if (!statSync(path).isFile()) throw unreadable(path, "it is no file");
  const header = Buffer.alloc(100);
  const file = openSync(path, "r");
  const length = readSync(file, header, 0, header.length, 0);
  closeSync(file);
  if (length === 0) return;
  if (header.toString("latin1", 0, 15) !== "SQLite format 3") throw unreadable(path, "it is not a database");
  checkLength(path, header);
}

/**
 * A database that is cut in its last page passes for a whole one, with nonsense in it. Its header says how many pages of how many bytes it has; while
 * a journal is beside it, some may be in there alone. https://www.sqlite.org/fileformat2.html#the_database_header
 */
function checkLength(path: string, header: Buffer): void {
  const pageBytes = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
  const wanted = pageBytes * header.readUInt32BE(28);
  const { size } = statSync(path);
  if (size >= wanted || (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  throw unreadable(path, `it is damaged [${size} of ${wanted} bytes]`);
}

/** Reads the whole database through a connection that cannot write. */
function checkContent(path: string): void {
  let reader: Database.Database | undefined;
  try {
    reader = new Database(`${pathToFileURL(path).href}?mode=ro`);
    const version = checkVersion(path, reader);
    const [result] = reader.prepare("PRAGMA quick_check(1)").raw().all() as [string][];
    if (result?.[0] !== "ok") throw unreadable(path, `it is damaged [${result?.[0]}]`);
    checkColumns(path, reader, version);
  } catch (error) {
    throw error instanceof SluiceError ? error : unreadable(path, `it is damaged [${sentence(error)}]`);
  } finally {
    reader?.close();
  }
}

interface ColumnRow {
  readonly table: string;
  readonly column: string;
  readonly type: string;
}

const columnsIn = (database: Database.Database): ColumnRow[] =>
  database
    .prepare(
      `SELECT t.name AS "table", c.name AS "column", c.type FROM sqlite_schema t JOIN pragma_table_info(t.name) c
       WHERE t.type = 'table'`,
    )
    .all() as ColumnRow[];

const nameOf = ({ table, column }: ColumnRow): string => `${table}.${column}`;

/** What is missing would be missed at any time, by whoever writes or reads it first. */
function checkColumns(path: string, database: Database.Database, version: number): void {
  const model = new Database(":memory:");
  try {
    for (const step of migrations.slice(0, version)) model.exec(step);
    const columns = columnsIn(model);
    const here = new Set(columnsIn(database).map(nameOf));
    const missing = columns.map(nameOf).filter((name) => !here.has(name));
    if (missing.length > 0) throw unreadable(path, `it lacks [${missing.join(", ")}]`);
    checkNumbers(path, database, columns);
  } finally {
    model.close();
  }
}

/** A number that somebody's edit has made a text would be stumbled over at any time, too. */
function checkNumbers(path: string, database: Database.Database, columns: readonly ColumnRow[]): void {
  for (const table of new Set(columns.map((column) => column.table))) {
    const numbers = columns.filter((column) => column.table === table && /^(INTEGER|REAL)$/.test(column.type));
    // SQLite sorts every text and every blob behind all numbers.
    const wrong = numbers.map(({ column }) => `${column} >= ''`);
    if (wrong.length === 0) continue;
    const [row] = database
      .prepare(`SELECT ${wrong.join(", ")} FROM ${table} WHERE ${wrong.join(" OR ")} LIMIT 1`)
      .raw()
      .all() as number[][];
    const at = row?.indexOf(1) ?? -1;
    if (at >= 0) throw unreadable(path, `there is no number where one belongs [${nameOf(numbers[at]!)}]`);
  }
}

function pragmaOf(database: Database.Database, name: string): number {
  const [row] = database.prepare(`PRAGMA ${name}`).raw().all() as [number][];
  return row?.[0] ?? 0;
}

function checkVersion(path: string, database: Database.Database): number {
  const version = pragmaOf(database, "user_version");
  const [tables] = database.prepare("SELECT count(*) FROM sqlite_schema").raw().all() as [number][];
  if (version === 0 && tables?.[0] === 0) return 0;
  if (pragmaOf(database, "application_id") !== APPLICATION_ID) throw unreadable(path, "it belongs to another program");
  if (version < 1) throw unreadable(path, `no program writes its version [${version}]`);
  if (version > SCHEMA_VERSION) {
    throw unreadable(path, `its version [${version}] is newer than [${SCHEMA_VERSION}], the one of this program`);
  }
  return version;
}

function migrate(path: string, database: Database.Database): void {
  const version = checkVersion(path, database);
  if (version === SCHEMA_VERSION) return;
  database.exec("BEGIN IMMEDIATE");
  for (const step of migrations.slice(version)) database.exec(step);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
}

/**
 * Opens the state database in `folder` (made if it is missing, readable by its owner alone), or one in memory for `:memory:`.
 * Throws SluiceError STORE_UNREADABLE for what it refuses, STORE_FAILED when the folder cannot be written.
 */
export function openDatabase(folder: string): { readonly database: Database.Database; readonly path: string } {
  const path = folder === ":memory:" ? folder : join(folder, "sluice.db");
  try {
    if (folder !== ":memory:") {
      makeFolder(folder);
      if (existsSync(path)) {
        checkHeader(path);
        checkContent(path);
      } else closeSync(openSync(path, "wx", 0o600));
    }
    const database = new Database(path);
    // What is committed survives the death of this process; only a dead machine can lose the last moments.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
    migrate(path, database);
    return { database, path };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError("STORE_FAILED", `The state in [${folder}] cannot be opened [${sentence(error)}].`, {
      cause: error,
    });
  }
}
