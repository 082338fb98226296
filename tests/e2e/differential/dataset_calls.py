"""Datasets."""

import json
from typing import Any

from calls import Calls


class DatasetCalls(Calls):
    @staticmethod
    def show_dataset(d) -> Any:
        return [d.name, {k: v for k, v in (d.tags or {}).items() if k != "mlflow.user"}, json.loads(d.schema) if d.schema else None, json.loads(d.profile) if d.profile else None, bool(d.digest)]

    def use_dataset(self):
        from mlflow.genai import datasets as genai

        act = self.random.choice(["create", "merge", "merge", "get", "records", "search", "tag", "untag", "delete", "experiments"])
        if act == "create" or not self.datasets:
            name = f"ds-{self.unique}-{len(self.datasets)}"
            where = self.active()
            made = self.call(f"create_dataset {name}", lambda: genai.create_dataset(name=name, experiment_id=where, tags={"stage": self.random.choice(["a", "b"])}), self.show_dataset)
            if made:
                self.names.give("dataset", made.dataset_id)
                self.datasets.append(made)
            return
        which = self.random.choice(self.datasets)
        if act == "merge":
            records = [{"inputs": {"q": self.random.choice(["a", "b", "c"])}, "expectations": {"e": self.value(1)}, "tags": {"n": str(i)}} for i in range(self.random.randrange(1, 4))]
            self.call(f"merge_records {which.name} {records}", lambda: which.merge_records(records), lambda d: self.show_dataset(d))
        elif act == "get":
            wanted = self.random.choice([which.dataset_id, which.dataset_id, "d-00000000000000000000000000000000"])
            self.call(f"get_dataset {wanted}", lambda: genai.get_dataset(dataset_id=wanted), self.show_dataset)
        elif act == "records":
            def show(df):
                rows = json.loads(df.to_json(orient="records"))
                return sorted(json.dumps({k: row.get(k) for k in ("inputs", "outputs", "expectations", "tags", "source")}, sort_keys=True) for row in rows)

            self.call(f"records of {which.name}", lambda: genai.get_dataset(dataset_id=which.dataset_id).to_df(), show)
        elif act == "search":
            words = self.random.choice([f"name LIKE 'ds-{self.unique}-%'", f"name = '{which.name}'", f"name LIKE 'ds-{self.unique}-%' AND tags.stage = 'a'", "color = 'x'", f"name LIKE 'ds-{self.unique}-%'", "created_time > 'x'"])
            order = self.random.choice([None, ["name DESC"], ["created_time ASC"], ["color"]])
            self.call(f"search_datasets {words} {order}", lambda: genai.search_datasets(filter_string=words, order_by=order), lambda found: [self.show_dataset(d) for d in found])
        elif act == "tag":
            self.call(f"set_dataset_tags {which.name}", lambda: genai.set_dataset_tags(dataset_id=which.dataset_id, tags={"stage": "c", "more": self.random.choice(["x", "y"])}))
        elif act == "untag":
            self.call(f"delete_dataset_tag {which.name}", lambda: genai.delete_dataset_tag(dataset_id=which.dataset_id, key=self.random.choice(["more", "none"])))
        elif act == "experiments":
            other = self.pick(self.experiments, "987654", 0.1)
            change = self.random.choice([genai.add_dataset_to_experiments, genai.remove_dataset_from_experiments])
            self.call(f"{change.__name__} {which.name} {self.names.of(other)}", lambda: change(dataset_id=which.dataset_id, experiment_ids=[other]), self.show_dataset)
        else:
            self.call(f"delete_dataset {which.name}", lambda: genai.delete_dataset(dataset_id=which.dataset_id))
