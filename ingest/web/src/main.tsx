import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { resumeAll } from "./chat/conversation";
import { deliver } from "./feedback/outbox";
import "./styles.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
resumeAll();
void deliver();
