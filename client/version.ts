/** The version of this package, as told to servers. */
import { createRequire } from "node:module";

// The package refers to itself by name, which holds in a checkout, in dist and when installed.
const { version } = createRequire(import.meta.url)("sluice/package.json") as { version: string };

export const VERSION: string = version;

/** As `name/version`, for HELLO. */
export const CLIENT_VERSION: string = `sluice-js/${version}`;
