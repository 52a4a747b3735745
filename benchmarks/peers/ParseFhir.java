import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import org.hl7.fhir.r4.model.Observation;

/** HAPI FHIR's JSON parser reading Observations, without validation: a peer for {@code benchmarks/codec_speed.py}. */
public final class ParseFhir {
  public static void main(String[] arguments) throws Exception {
    IParser parser = FhirContext.forR4().newJsonParser();
    Turns.take(arguments[0], text -> read(parser, text));
  }

  private static long read(IParser parser, String text) {
    Observation one = parser.parseResource(Observation.class, text);
    long sum = one.getCode().getCodingFirstRep().getCode().hashCode();
    sum += Math.round(one.getValueQuantity().getValue().doubleValue());
    sum += one.getValueQuantity().getCode().hashCode();
    sum += one.getEffectiveDateTimeType().getValue().getTime();
    return sum + one.getSubject().getReference().hashCode();
  }
}
