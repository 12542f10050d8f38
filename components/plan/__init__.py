"""Pure: config and catalog become one `HostingPlan`; every decision is made here, once, for all targets."""
