import { Tabs } from "radix-ui";
import { useEffect, useState } from "react";
import { ChatView } from "./chat/chat_view";
import { DeliveryNote } from "./feedback/delivery_note";
import { QualityView } from "./quality/quality_view";
import { KeepingNote } from "./shared/keeping_note";

const tabOf = (hash: string): string => (hash === "#quality" ? "quality" : "chat");

export function App() {
  const [tab, setTab] = useState(() => tabOf(location.hash));
  useEffect(() => {
    const follow = (): void => setTab(tabOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return (
    <Tabs.Root className="page" value={tab} onValueChange={(value) => (location.hash = value)}>
      <header className="bar">
        <h1>assay</h1>
        <Tabs.List className="tabs" aria-label="What to look at">
          <Tabs.Trigger className="tab" value="chat">Chat</Tabs.Trigger>
          <Tabs.Trigger className="tab" value="quality">Quality</Tabs.Trigger>
        </Tabs.List>
      </header>
      <div className="banners">
        <DeliveryNote />
        <KeepingNote />
      </div>
      <main>
        <Tabs.Content value="chat" className="panel" tabIndex={-1}><ChatView /></Tabs.Content>
        <Tabs.Content value="quality" className="panel" tabIndex={-1}><QualityView /></Tabs.Content>
      </main>
    </Tabs.Root>
  );
}
