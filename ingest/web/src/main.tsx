import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { resumeAll } from "./chat/conversation";
import { dropOldest } from "./chat/room";
import { deliver } from "./feedback/outbox";
import { whenFull } from "./shared/store";
import "./styles.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
whenFull(dropOldest);
resumeAll();
void deliver();
