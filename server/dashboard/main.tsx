/** Starts the page. */
import { render } from "preact";
import { App } from "./app.tsx";
import { start } from "./live/live.ts";
import "./style/base.css";
import "./style/tenants.css";
import "./style/pool.css";
import "./style/parts.css";

render(<App />, document.getElementById("app")!);
void start(); // What goes wrong is shown on the page.
