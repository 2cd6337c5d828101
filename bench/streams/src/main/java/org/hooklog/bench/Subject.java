package org.hooklog.bench;

/** The key of events: scope, mode and what the event is about, by a fixed table of object types. */
final class Subject {
    private Subject() {}

    static String key(Envelope event, String namespace) {
        String scope = event.account != null ? event.account : namespace;
        return scope + (event.livemode ? "/live/" : "/test/") + of(event);
    }

    private static String of(Envelope event) {
        String about = event.thin ? event.relatedId : root(event);
        return about != null ? about : event.id;
    }

    private static String root(Envelope event) {
        return switch (event.objectType == null ? "" : event.objectType) {
            case "tax_id", "discount", "source", "cash_balance", "subscription", "subscription_schedule",
                "subscription_item", "invoice", "invoiceitem", "credit_note",
                "entitlements.active_entitlement_summary", "billing_portal.session" ->
                firstOf(event.customer, event.objectId);
            case "charge" -> firstOf(event.paymentIntent, event.objectId);
            case "refund", "dispute", "review", "radar.early_fraud_warning", "invoice_payment" ->
                firstOf(event.paymentIntent, firstOf(event.charge, event.objectId));
            default -> event.objectId;
        };
    }

    private static String firstOf(String wanted, String otherwise) {
        return wanted != null ? wanted : otherwise;
    }
}
