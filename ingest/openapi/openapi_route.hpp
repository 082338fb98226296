#pragma once
// /openapi.json: what each door takes and answers. The words stand in the .json files beside this, one for each group
// of doors; the document has the doors that this process has, with whom they let in. A test compares both with the
// router.
#include <boost/json/object.hpp>

#include "ingest/access/gate.hpp"

namespace assay {

// All that is written down, whether this process has the door or not: {"paths":{…},"components":{…}}.
boost::json::object openapi_fragments();

// Of the doors of `router`; one that is not written down is left out.
boost::json::object openapi_document(const Router& router, ScopeSet anonymous);

// The document is made when it is first asked for: the router is complete by then.
void add_openapi_route(Router& router, const Gate& gate);

}  // namespace assay
