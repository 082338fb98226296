"""Experiments."""

from typing import Any

from calls import Calls


class ExperimentCalls(Calls):
    def make_experiment(self):
        taken = self.random.random() < 0.2 and self.experiment_names
        name = self.random.choice(list(self.experiment_names.values())) if taken else f"/diff/{self.unique}/{len(self.experiments)}"
        tags = {f"t{i}": self.random.choice(["a", "b", "żółw"]) for i in range(self.random.randrange(3))}
        made = self.call(f"create_experiment {name}", lambda: self.client.create_experiment(name, tags=tags or None))
        if made:
            self.names.give("experiment", made)
            self.experiments.append(made)
            self.experiment_names[made] = name

    def change_experiment(self):
        which = self.pick(self.experiments, "987654")
        act = self.random.choice(["tag", "tag", "untag", "rename", "delete", "restore", "name"])
        if act == "tag":
            key, value = self.random.choice(["k1", "k2", "a/b", "bad,key"]), self.random.choice(["v", "w", ""])
            self.call(f"set_experiment_tag {self.names.of(which)} {key}={value}", lambda: self.client.set_experiment_tag(which, key, value))
        elif act == "untag":
            key = self.random.choice(["k1", "t0", "none"])
            self.call(f"delete_experiment_tag {self.names.of(which)} {key}", lambda: self.client.delete_experiment_tag(which, key))
        elif act == "rename":
            new = f"/diff/{self.unique}/renamed-{self.count}"
            before = len(self.seen)
            self.call(f"rename_experiment {self.names.of(which)}", lambda: self.client.rename_experiment(which, new))
            if self.seen[before][1] == "ok":
                self.experiment_names[which] = new
        elif act == "name":
            taken = self.pick(list(self.experiment_names.values()))
            if which in self.experiment_names and taken != self.experiment_names[which]:
                self.call(f"rename_experiment {self.names.of(which)} to a taken name", lambda: self.client.rename_experiment(which, taken))
        elif act == "delete":
            if len(self.deleted_experiments) + 1 < len(self.experiments):
                self.call(f"delete_experiment {self.names.of(which)}", lambda: self.client.delete_experiment(which))
                if which in self.experiments:
                    self.deleted_experiments.add(which)
        else:
            self.call(f"restore_experiment {self.names.of(which)}", lambda: self.client.restore_experiment(which))
            self.deleted_experiments.discard(which)

    def show_experiment(self, e) -> Any:
        return None if e is None else [self.names.of(e.experiment_id), e.name, e.lifecycle_stage, e.artifact_location, e.tags, e.creation_time <= e.last_update_time]

    def look_at_experiments(self):
        act = self.random.randrange(3)
        if act == 0:
            which = self.pick(self.experiments, self.random.choice(["987654", "abc"]))
            self.call(f"get_experiment {self.names.of(which)}", lambda: self.client.get_experiment(which), self.show_experiment)
        elif act == 1:
            name = self.pick(list(self.experiment_names.values()), "/diff/nobody", 0.2)
            self.call(f"get_experiment_by_name {name}", lambda: self.client.get_experiment_by_name(name), self.show_experiment)
        else:
            mine = f"name LIKE '/diff/{self.unique}/%'"
            more = self.random.choice(["", " AND tags.k1 = 'v'", " AND tag.t0 != 'a'", " AND tags.t1 ILIKE '%Ó%'", " AND tags.k2 IS NULL", " AND creation_time > 5",
                                       " AND name ILIKE '%RENAMED%'", " AND creation_time > 'x'", " AND color = 'x'", " OR name = 'x'", " AND tags.k1 > 'v'"])
            order = self.random.choice([None, ["name"], ["name DESC"], ["creation_time ASC"], ["last_update_time DESC", "name"], ["color"], ["name sideways"]])
            view = self.random.choice([1, 2, 3])
            most = self.random.choice([1000, 1, 2])
            self.call(
                f"search_experiments {mine + more} {order} {view} {most}",
                lambda: self.client.search_experiments(view_type=view, filter_string=mine + more, order_by=order, max_results=most),
                lambda page: [[self.show_experiment(e) for e in page], bool(page.token)],
            )
