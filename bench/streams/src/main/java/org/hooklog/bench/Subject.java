package org.hooklog.bench;

/** The key of events: scope, mode and what the event is about, by a fixed table of object types. */
final class Subject {
    private Subject() {}

    static String key(Envelope event, String namespace) {
        String scope = event.account != null ? event.account : namespace;
        return scope + (event.livemode ? "/live/" : "/test/") + of(event);
    }

    private static String of(Envelope event) {
        String own = event.objectId != null ? event.objectId : event.relatedId != null ? event.relatedId : event.id;
        if (event.objectType == null) {
            return own;
        }
        return switch (event.objectType) {
            case "customer" -> own;
            case "tax_id", "discount", "source", "cash_balance", "subscription", "subscription_schedule",
                "subscription_item", "invoice", "invoiceitem", "credit_note",
                "entitlements.active_entitlement_summary", "billing_portal.session" ->
                event.customer != null ? event.customer : own;
            case "payment_intent" -> own;
            case "charge", "refund", "dispute", "review", "radar.early_fraud_warning", "invoice_payment" -> root(event, own);
            default -> own;
        };
    }

    private static String root(Envelope event, String own) {
        return event.paymentIntent != null ? event.paymentIntent : event.charge != null ? event.charge : own;
    }
}
